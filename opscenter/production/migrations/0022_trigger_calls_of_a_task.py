from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("production", "0020_backfills")]

    operations = [
        migrations.AddIndex(
            model_name="triggercommand",
            index=models.Index(fields=["task_number", "-id"], name="trigger_task"),
        ),
    ]
