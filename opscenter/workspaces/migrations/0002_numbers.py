from django.db import migrations

from opscenter.base import ids


class Migration(migrations.Migration):
    dependencies = [("workspaces", "0001_initial")]
    operations = [
        ids.create_sequence("user_uid", 1000000001),
        ids.start_sequence("workspaces_workspace", 10001),
        ids.start_sequence("workspaces_tenant", 1001),
    ]
