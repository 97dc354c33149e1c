from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("production", "0011_parameter_levels")]

    operations = [
        migrations.AddField(
            model_name="task",
            name="trigger",
            field=models.CharField(
                choices=[("Scheduler", "Auto triggered"), ("Manual", "Manually triggered")],
                default="Scheduler",
                max_length=16,
            ),
        ),
        migrations.AlterField(
            model_name="taskversion",
            name="cron",
            field=models.CharField(help_text="six fields; empty when manually triggered", max_length=255),
        ),
        migrations.AlterField(
            model_name="workflowinstance",
            name="type",
            field=models.CharField(
                choices=[
                    ("Normal", "Scheduled"),
                    ("Manual", "Manual tasks"),
                    ("ManualWorkflow", "Manual workflow"),
                    ("SmokeTest", "Smoke test"),
                    ("SupplementData", "Backfill"),
                ],
                max_length=16,
            ),
        ),
    ]
