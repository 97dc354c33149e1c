import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.models.functions import Now

# until now every workspace used every group of its tenant: nothing of that is taken away
ASSOCIATE = """
INSERT INTO production_resourcegroupassociation (group_id, workspace_id)
SELECT g.id, w.id FROM production_resourcegroup g JOIN workspaces_workspace w ON w.tenant_id = g.tenant_id
"""


class Migration(migrations.Migration):

    dependencies = [
        ('workspaces', '0004_retention'),
        ('production', '0009_parallel_and_misfires'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name='resourcegroup',
            name='description',
            field=models.CharField(blank=True, max_length=200, default=''),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name='resourcegroup',
            name='created_at',
            field=models.DateTimeField(db_default=Now()),
        ),
        migrations.AddField(
            model_name='resourcegroup',
            name='created_by',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.CreateModel(
            name='ResourceGroupAssociation',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=Now())),
                ('group', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='associations', to='production.resourcegroup')),
                ('workspace', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='resource_groups', to='workspaces.workspace')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('workspace', 'group'), name='resource_group_once')],
            },
        ),
        migrations.RunSQL(ASSOCIATE, migrations.RunSQL.noop),
        migrations.AddIndex(
            model_name='taskinstance',
            index=models.Index(condition=models.Q(('state__in', [5, 9]), ('frozen', True), _connector='OR'), fields=['workspace', 'environment', 'bizdate'], name='instance_stuck'),
        ),
    ]
