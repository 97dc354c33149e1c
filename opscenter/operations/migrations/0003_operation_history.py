"""The history of operations is read by environment."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("operations", "0002_checks")]

    operations = [
        migrations.RemoveIndex(model_name="operation", name="operation_history"),
        migrations.AddIndex(
            model_name="operation",
            index=models.Index(fields=["workspace", "environment", "-id"], name="operation_history"),
        ),
    ]
