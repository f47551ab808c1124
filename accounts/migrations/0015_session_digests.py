"""The keys of sessions become digests, so that nobody is signed out
(accounts/sessions/store.py)."""

from django.db import migrations

_DIGEST = "left(encode(sha256(convert_to(session_key, 'UTF8')), 'hex'), 40)"


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0014_single_sign_on"),
        ("sessions", "0001_initial"),
        ("usersessions", "0001_initial"),
    ]

    operations = [
        migrations.RunSQL(
            [
                f"UPDATE django_session SET session_key = {_DIGEST}",  # noqa: S608
                f"UPDATE usersessions_usersession SET session_key = {_DIGEST}",  # noqa: S608
            ],
            reverse_sql=["DELETE FROM django_session"],
        )
    ]
