"""Binds the confirmation of an organisation's email domains to the issuer and client that an
operator saw, and marks the connections that people made themselves.

A confirmation is carried over only where the audit trail knows of no other issuer or client. Where
it does not, the confirmation ends: an operator looks again. Connections are the person's own where
no confirmed domain can have made them.
"""

from typing import Any

import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

from lib.ids import id_text

CARRY_OVER = """
    UPDATE accounts_singlesignon AS row
    SET confirmed_domains = row.domains,
        confirmed_issuer = row.issuer,
        confirmed_client_id = row.client_id
    WHERE row.domains_confirmed AND NOT EXISTS (
        SELECT FROM accounts_auditevent AS event
        WHERE event.organisation_id = row.organisation_id
            AND event.action = 'single_sign_on.saved'
            AND coalesce(event.detail #>> '{before,issuer}', '') <> ''
            AND (event.detail #>> '{before,issuer}', event.detail #>> '{before,client_id}')
                IS DISTINCT FROM (row.issuer::text, row.client_id::text)
    )
"""
BACK = """
    UPDATE accounts_singlesignon
    SET domains_confirmed = confirmed_domains @> domains
        AND (confirmed_issuer, confirmed_client_id) = (issuer, client_id)
"""
CONFIRMED_ONCE = """
    SELECT DISTINCT organisation_id FROM accounts_auditevent
    WHERE action = 'single_sign_on.confirmed'
        OR (action = 'single_sign_on.saved' AND detail #>> '{after,domains_confirmed}' = 'true')
"""
MARK_OWN = """
    INSERT INTO accounts_ownconnection (account_id)
    SELECT account.id
    FROM socialaccount_socialaccount AS account
    JOIN accounts_user AS person ON person.id = account.user_id
    WHERE account.provider = %(provider)s
        AND lower(split_part(person.email, '@', 2)) <> ALL (%(domains)s::text[])
"""
# The column stays for processes of the version before, which write it; nothing reads it any more.
KEEP_COLUMN = "ALTER TABLE accounts_singlesignon ALTER COLUMN domains_confirmed SET DEFAULT false"
DROP_DEFAULT = "ALTER TABLE accounts_singlesignon ALTER COLUMN domains_confirmed DROP DEFAULT"


def mark_own(apps: Any, schema_editor: Any) -> None:
    """Mark the connections that no confirmed domain can have made."""
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(CONFIRMED_ONCE)
        confirmed_once = {row[0] for row in cursor.fetchall()}
        cursor.execute(
            "SELECT id, organisation_id, domains, domains_confirmed FROM accounts_singlesignon"
        )
        for id, organisation, domains, confirmed in cursor.fetchall():
            suspected = domains if confirmed or organisation in confirmed_once else []
            cursor.execute(MARK_OWN, {"provider": id_text(id), "domains": suspected})


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0022_erasures"),
        ("socialaccount", "0006_alter_socialaccount_extra_data"),
    ]

    operations = [
        migrations.AddField(
            model_name="singlesignon",
            name="confirmed_domains",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=253),
                blank=True,
                db_default=[],
                default=list,
                help_text="The domains that an operator has confirmed for the issuer and client "
                "below.",
                size=None,
            ),
        ),
        migrations.AddField(
            model_name="singlesignon",
            name="confirmed_issuer",
            field=models.CharField(blank=True, db_default="", default="", max_length=500),
        ),
        migrations.AddField(
            model_name="singlesignon",
            name="confirmed_client_id",
            field=models.CharField(blank=True, db_default="", default="", max_length=200),
        ),
        migrations.CreateModel(
            name="OwnConnection",
            fields=[
                (
                    "account",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="own",
                        serialize=False,
                        to="socialaccount.socialaccount",
                    ),
                ),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
            ],
        ),
        migrations.RunSQL(CARRY_OVER, BACK),
        migrations.RunPython(mark_own, migrations.RunPython.noop),
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(KEEP_COLUMN, DROP_DEFAULT)],
            state_operations=[migrations.RemoveField("singlesignon", "domains_confirmed")],
        ),
    ]
