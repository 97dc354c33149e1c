from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("operations", "0003_operation_history")]

    operations = [
        migrations.AlterField(
            model_name="operation",
            name="status",
            field=models.CharField(
                choices=[
                    ("checking", "Checking"),
                    ("running", "Under way"),
                    ("applied", "Applied"),
                    ("partly", "Partly applied"),
                    ("refused", "Refused"),
                    ("blocked", "Blocked"),
                    ("cancelled", "Cancelled"),
                ],
                max_length=16,
            ),
        ),
        migrations.AddIndex(
            model_name="operation",
            index=models.Index(
                condition=models.Q(("status", "running")), fields=["id"], name="operation_running"
            ),
        ),
    ]
