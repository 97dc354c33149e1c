from django.db import migrations

from opscenter.base import ids


def storage(table: str, **options: object) -> migrations.RunSQL:
    """Storage parameters: room on the page for HOT updates, and a vacuum that keeps up with a queue."""
    values = ", ".join(f"{name} = {value}" for name, value in options.items())
    names = ", ".join(options)
    return migrations.RunSQL(f'ALTER TABLE "{table}" SET ({values})', f'ALTER TABLE "{table}" RESET ({names})')


HOT = {
    "fillfactor": 75,
    "autovacuum_vacuum_scale_factor": 0.01,
    "autovacuum_vacuum_threshold": 500,
    "autovacuum_analyze_scale_factor": 0.02,
    "autovacuum_vacuum_cost_delay": 0,
}


class Migration(migrations.Migration):
    dependencies = [("production", "0001_initial")]
    operations = [
        ids.create_sequence("task_number", 700000001),
        ids.create_sequence("workflow_number", 500000001),
        ids.start_sequence("production_taskinstance", 1000000001),
        ids.start_sequence("production_workflowinstance", 900000001),
        storage("production_taskinstance", **HOT),
        storage("production_instanceedge", **HOT),
        storage("production_attempt", **HOT),
    ]
