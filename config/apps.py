from django.apps import AppConfig
from django.db.backends.signals import connection_created
from django.db.models.signals import post_migrate, pre_migrate

from lib.database.tenancy import confine_connection


class ConfigConfig(AppConfig):
    name = "config"

    def ready(self) -> None:
        # Models cannot be imported earlier.
        from config.jobs.queue_tables import create_if_used
        from config.system.row_security import secure_tables

        connection_created.connect(confine_connection)
        pre_migrate.connect(create_if_used, sender=self)
        # This is the last room, so every table exists.
        post_migrate.connect(secure_tables, sender=self)
