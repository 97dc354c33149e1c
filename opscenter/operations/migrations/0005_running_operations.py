from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("operations", "0004_jobs")]

    operations = [
        migrations.AddIndex(
            model_name="operation",
            index=models.Index(
                condition=models.Q(("status", "running")), fields=["id"], name="operation_running"
            ),
        ),
    ]
