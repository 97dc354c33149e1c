from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("production", "0017_backfill_alerts")]

    operations = [
        migrations.AddIndex(
            model_name="triggercommand",
            index=models.Index(fields=["task_number", "-id"], name="trigger_task"),
        ),
    ]
