"""People, organisations, teams, keys, and the audit trail of who did what."""

from typing import ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.functions import RandomUUID
from django.db import models
from django.db.models.functions import Lower, Now

from accounts.limits.data_policy import (
    CLIENT_ADDRESS_DAYS_MAX,
    RETENTION_HOURS,
    RETENTION_HOURS_MAX,
)
from lib.database.sealed_field import SealedField
from lib.database.unowned_rows import UnownedRows
from lib.ids import new_id


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, **fields: object) -> "User":
        user = self.model(email=self.normalize_email(email), **fields)
        user.set_unusable_password()
        user.save(using=self._db)
        return user


class User(AbstractBaseUser):
    unowned_rows = UnownedRows(
        "shared",
        "A person may belong to several organisations, and is named by what they did in one that "
        "they have left; which people an organisation has its memberships say.",
    )

    email = models.EmailField(max_length=254, unique=True)
    name = models.CharField(max_length=120, blank=True, default="")
    operator = models.BooleanField(default=False, help_text="Runs the installation.")
    is_active = models.BooleanField(default=True)
    language = models.CharField(max_length=10, blank=True, default="")
    theme = models.CharField(max_length=8, blank=True, default="")
    created_at = models.DateTimeField(db_default=Now())
    erased_at = models.DateTimeField(
        null=True, blank=True, help_text="When all that names the person was erased."
    )

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        constraints = [models.UniqueConstraint(Lower("email"), name="user_email_once")]

    def __str__(self) -> str:
        return self.email


class Limited(models.Model):
    """Limits of an organisation, a team, a member or a key; null means no limit. `rpm` and `tpm`
    are requests and tokens in any sixty seconds, `parallel` is the number of concurrent
    requests."""

    rpm = models.PositiveIntegerField(null=True, blank=True)
    tpm = models.PositiveBigIntegerField(null=True, blank=True)
    parallel = models.PositiveIntegerField(null=True, blank=True)

    class Meta:
        abstract = True


class Caching(models.Model):
    """Whether answers to requests are served again to identical ones
    (accounts/limits/answer_cache.py): for how many seconds, at what share of the price. Of a key,
    null means as its team has it; 0 seconds, not at all."""

    cache_seconds = models.PositiveIntegerField(null=True, blank=True)
    cache_price_percent = models.PositiveSmallIntegerField(default=0, db_default=0)

    class Meta:
        abstract = True


def required_labels_field() -> "ArrayField[list[str], list[str]]":
    return ArrayField(
        models.CharField(max_length=20),
        default=list,
        db_default=[],
        blank=True,
        help_text="The labels (project, customer, tags) that each request must have.",
    )


def zero_retention_field() -> "models.BooleanField[bool, bool]":
    return models.BooleanField(
        default=False,
        db_default=False,
        help_text="Requests go only to providers that keep no data of them.",
    )


def data_regions_field() -> "ArrayField[list[str], list[str]]":
    return ArrayField(
        models.CharField(max_length=40),
        default=list,
        db_default=[],
        blank=True,
        help_text="Requests go only to channels in one of these regions; none = any.",
    )


class Organisation(Limited):
    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    name = models.CharField(max_length=120)
    slug = models.SlugField(max_length=60, unique=True)
    currency = models.CharField(max_length=3, default="USD")
    display_currency = models.CharField(
        max_length=3,
        blank=True,
        default="",
        db_default="",
        help_text="Pages show amounts in it too, beside the currency of the books; empty = none.",
    )
    retention_hours = models.PositiveSmallIntegerField(
        db_default=RETENTION_HOURS,
        default=RETENTION_HOURS,
        help_text="How long answers are kept for requests that go on from them, at most 24; "
        "0 keeps nothing.",
    )
    include_cost = models.BooleanField(
        default=False, db_default=False, help_text="Answers tell their charge without being asked."
    )
    client_address_days = models.PositiveSmallIntegerField(
        db_default=0,
        default=0,
        help_text="How long it is kept from which address each request came; 0 keeps nothing.",
    )
    zero_retention = zero_retention_field()
    data_regions = data_regions_field()
    required_labels = required_labels_field()
    second_factor_roles = ArrayField(
        models.CharField(max_length=40),
        default=list,
        db_default=[],
        blank=True,
        help_text="The roles whose members must have a second factor to sign in.",
    )
    suspended_at = models.DateTimeField(null=True, blank=True)
    suspended_reason = models.CharField(max_length=500, blank=True, default="", db_default="")
    archived_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(retention_hours__lte=RETENTION_HOURS_MAX),
                name="organisation_retention_bounded",
            ),
            models.CheckConstraint(
                condition=models.Q(client_address_days__lte=CLIENT_ADDRESS_DAYS_MAX),
                name="organisation_addresses_bounded",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Team(Limited, Caching):
    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey(Organisation, models.PROTECT, related_name="teams")
    name = models.CharField(max_length=120)
    slug = models.SlugField(max_length=60)
    required_labels = required_labels_field()
    archived_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organisation", "slug"], name="team_slug_once")
        ]

    def __str__(self) -> str:
        return self.name


class Project(models.Model):
    """A project of a team. Requests with its keys have its slug as their label `project`."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey(Organisation, models.PROTECT, related_name="projects")
    team = models.ForeignKey(Team, models.PROTECT, related_name="projects")
    name = models.CharField(max_length=120)
    slug = models.SlugField(max_length=60)
    archived_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organisation", "slug"], name="project_slug_once")
        ]

    def __str__(self) -> str:
        return self.name


class Role(models.TextChoices):
    OWNER = "owner"
    ADMIN = "admin"
    BILLING = "billing"
    DEVELOPER = "developer"
    VIEWER = "viewer"
    CUSTOM = "custom"


class CustomRole(models.Model):
    """A custom role of an organisation: a set of permissions (`accounts/roles/rules.py`)."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey(Organisation, models.CASCADE, related_name="custom_roles")
    name = models.CharField(max_length=60)
    permissions = ArrayField(models.CharField(max_length=40), default=list, blank=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint("organisation", Lower("name"), name="custom_role_name_once")
        ]

    def __str__(self) -> str:
        return self.name


class HasRole(models.Model):
    """A role, built in or custom."""

    role = models.CharField(max_length=12, choices=Role.choices)
    custom_role = models.ForeignKey(CustomRole, models.PROTECT, null=True, blank=True)

    class Meta:
        abstract = True
        constraints = [
            models.CheckConstraint(
                condition=models.Q(role=Role.CUSTOM) ^ models.Q(custom_role=None),
                name="%(class)s_custom_role_named",
            )
        ]


class Membership(HasRole, Limited):
    """A person's membership in an organisation: the role, and all teams (`all_teams`, including
    future ones) or only `teams`. `leads` are the ids of those of these teams that the person leads.
    `limit_id` identifies its limits: a person is limited in each organisation separately."""

    limit_id = models.UUIDField(db_default=RandomUUID(), editable=False)
    user = models.ForeignKey(User, models.CASCADE, related_name="memberships")
    organisation = models.ForeignKey(Organisation, models.CASCADE, related_name="memberships")
    all_teams = models.BooleanField(default=True, db_default=True)
    teams = models.ManyToManyField(Team, related_name="memberships", blank=True)
    leads = ArrayField(models.UUIDField(), default=list, blank=True, db_default=[])
    created_at = models.DateTimeField(db_default=Now())

    class Meta(HasRole.Meta):
        abstract = False
        constraints = [
            *HasRole.Meta.constraints,
            models.UniqueConstraint(fields=["user", "organisation"], name="membership_once"),
            models.CheckConstraint(
                condition=~models.Q(role=Role.OWNER) | models.Q(all_teams=True),
                name="owner_has_all_teams",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} is {self.role} of {self.organisation_id}"


class Invitation(HasRole):
    """An offer to join an organisation, by email or, without an address, for anybody who has its
    link. It is accepted once. Only a digest of the link's text is stored."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey(Organisation, models.CASCADE, related_name="invitations")
    email = models.EmailField(max_length=254, blank=True, default="")
    all_teams = models.BooleanField(default=True)
    teams = models.ManyToManyField(Team, related_name="invitations", blank=True)
    message = models.CharField(max_length=500, blank=True, default="")
    digest = models.BinaryField(max_length=32, unique=True)
    invited_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(db_default=Now())
    sent_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField()
    withdrawn_at = models.DateTimeField(null=True)
    accepted_at = models.DateTimeField(null=True)
    accepted_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")

    class Meta(HasRole.Meta):
        abstract = False
        constraints = [
            *HasRole.Meta.constraints,
            models.UniqueConstraint(
                "organisation",
                Lower("email"),
                condition=~models.Q(email="") & models.Q(accepted_at=None, withdrawn_at=None),
                name="open_invitation_once",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.email or 'a link'} to {self.organisation_id}"


class ServiceAccount(HasRole):
    """A program that belongs to a team and to no person, so its keys stay when people leave."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey(Organisation, models.CASCADE, related_name="service_accounts")
    team = models.ForeignKey(Team, models.PROTECT, related_name="service_accounts")
    name = models.CharField(max_length=120)
    disabled = models.BooleanField(default=False, db_default=False)
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(db_default=Now())

    class Meta(HasRole.Meta):
        abstract = False
        constraints = [
            *HasRole.Meta.constraints,
            models.UniqueConstraint(
                "organisation", Lower("name"), name="service_account_name_once"
            ),
            models.CheckConstraint(
                condition=~models.Q(role=Role.OWNER), name="service_account_owns_nothing"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class KeyKind(models.TextChoices):
    RELAY = "relay"
    MANAGEMENT = "management"
    PLAYGROUND = "playground"


class Key(Limited, Caching):
    """An API key. Only a keyed digest of its text is stored; the text is shown once. The
    playground's key has no text (its digest is random): the signed-in session is used instead."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey(Organisation, models.PROTECT, related_name="keys")
    team = models.ForeignKey(Team, models.PROTECT, related_name="keys")
    user = models.ForeignKey(User, models.SET_NULL, null=True, related_name="keys")
    service_account = models.ForeignKey(
        ServiceAccount, models.PROTECT, null=True, blank=True, related_name="keys"
    )
    project = models.ForeignKey(Project, models.PROTECT, null=True, blank=True, related_name="keys")
    name = models.CharField(max_length=120)
    kind = models.CharField(max_length=12, choices=KeyKind.choices, default=KeyKind.RELAY)
    digest = models.BinaryField(max_length=32, unique=True)
    prefix = models.CharField(max_length=16)
    last4 = models.CharField(max_length=4)
    model_patterns = ArrayField(
        models.CharField(max_length=200),
        default=list,
        blank=True,
        help_text="Names or patterns (gpt-*) that the key may ask; none = all.",
    )
    endpoints = ArrayField(
        models.CharField(max_length=40),
        db_default=[],
        blank=True,
        help_text="The operations that the key may call; none = all.",
    )
    networks = ArrayField(
        models.CharField(max_length=43),
        db_default=[],
        blank=True,
        help_text="The addresses that the key may be used from; none = all.",
    )
    tags = ArrayField(
        models.CharField(max_length=100),
        db_default=[],
        blank=True,
        help_text="Labels of every request of the key, for grouping and budgets.",
    )
    required_labels = required_labels_field()
    zero_retention = zero_retention_field()
    data_regions = data_regions_field()
    end_user_header = models.CharField(
        max_length=100,
        blank=True,
        default="",
        db_default="",
        help_text="The header by which an application names its end users; empty = none.",
    )
    end_user_networks = ArrayField(
        models.CharField(max_length=43),
        default=list,
        db_default=[],
        blank=True,
        help_text="The networks whose header is accepted; none = any, if it is signed.",
    )
    end_users_signed = models.BooleanField(
        default=False,
        db_default=False,
        help_text="The header must be signed (accounts/secrets/key_format.py).",
    )
    log_content = models.BooleanField(
        db_default=True, help_text="Whether what is asked and answered may be kept for a while."
    )
    created_at = models.DateTimeField(db_default=Now())
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    expires_at = models.DateTimeField(null=True, blank=True)
    disabled = models.BooleanField(default=False)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "name"],
                condition=models.Q(revoked_at=None),
                name="live_key_name_once",
            ),
            models.CheckConstraint(
                condition=models.Q(user=None) | models.Q(service_account=None),
                name="key_of_person_or_service_account",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…{self.last4})"


class FormerSecret(models.Model):
    """A text that a key had before a rotation. It works until `until`, and can never be a key's
    text again."""

    digest = models.BinaryField(max_length=32, primary_key=True)
    key = models.ForeignKey(Key, models.PROTECT, related_name="former_secrets")
    last4 = models.CharField(max_length=4)
    until = models.DateTimeField()

    def __str__(self) -> str:
        return f"…{self.last4} until {self.until}"


class SecretUse(models.Model):
    """The last use of a secret of a key: when, from where and with what
    (`accounts/key_uses/last_uses.py`). Without an address, it was used on a page."""

    digest = models.BinaryField(max_length=32, primary_key=True)
    organisation = models.ForeignKey(Organisation, models.CASCADE, related_name="+")
    key = models.ForeignKey(Key, models.CASCADE, related_name="uses")
    at = models.DateTimeField()
    address = models.CharField(max_length=45, blank=True, default="")
    client = models.CharField(max_length=60, blank=True, default="")

    def __str__(self) -> str:
        return f"{self.key_id} at {self.at}"


class AuthTokenUse(models.Model):
    """How often an ephemeral token of a key opened a session, until its sessions have ended
    (`accounts/keys/sql.py`)."""

    token_id = models.UUIDField(primary_key=True)
    key = models.ForeignKey(Key, models.CASCADE, related_name="+")
    uses = models.PositiveIntegerField()
    ends_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.token_id}: {self.uses}"


class SignInLink(models.Model):
    """A one-time link that signs one person in."""

    unowned_rows = UnownedRows("closed", "Signs a person in.")

    digest = models.BinaryField(max_length=32, primary_key=True)
    user = models.ForeignKey(User, models.CASCADE)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"for {self.user_id} until {self.expires_at}"


class DeviceSignIn(models.Model):
    """A device that asks for a key of whoever allows it (RFC 8628). `client` is what it calls
    itself, `allowed` what a person decided. It stays with the key that it got."""

    unowned_rows = UnownedRows("closed", "Signs a device in.")

    digest = models.BinaryField(max_length=32, primary_key=True)
    user_code_digest = models.BinaryField(max_length=32, unique=True)
    client = models.CharField(max_length=60)
    address = models.CharField(max_length=45, blank=True, default="")
    expires_at = models.DateTimeField(db_index=True)
    polled_at = models.DateTimeField(null=True)
    user = models.ForeignKey(User, models.CASCADE, null=True, related_name="+")
    organisation = models.ForeignKey(Organisation, models.CASCADE, null=True, related_name="+")
    allowed = models.BooleanField(null=True)
    key = models.OneToOneField(Key, models.CASCADE, null=True, related_name="+")

    def __str__(self) -> str:
        return f"{self.client} until {self.expires_at}"


class SetUpLink(models.Model):
    """A one-time link that creates the first operator."""

    unowned_rows = UnownedRows("closed", "Makes the first operator.")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    digest = models.BinaryField(max_length=32, unique=True)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"until {self.expires_at}"


class TryWindow(models.Model):
    """The number of sign-in attempts in a time window. `subject` is a digest of the person or
    address that is counted."""

    unowned_rows = UnownedRows("shared", "Counts tries by digests of who tried.")

    subject = models.BinaryField(max_length=32, primary_key=True)
    tries = models.PositiveIntegerField()
    ends_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"{self.tries} until {self.ends_at}"


class SignInNetwork(models.Model):
    """A network from which a person has signed in: an address, for IPv6 its /64."""

    unowned_rows = UnownedRows("closed", "From where people sign in.")

    user = models.ForeignKey(User, models.CASCADE, related_name="sign_in_networks")
    network = models.CharField(max_length=43)
    last_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "network"], name="sign_in_network_once")
        ]

    def __str__(self) -> str:
        return f"{self.user_id} from {self.network}"


class SignUpMode(models.TextChoices):
    """Who may create an account: nobody, invited people, people of certain email domains as well,
    or everybody."""

    OFF = "off"
    INVITE = "invite"
    DOMAIN = "domain"
    OPEN = "open"


class SignUpSetting(models.Model):
    """A single row: who may create an account, and whether browsers are checked."""

    unowned_rows = UnownedRows("closed", "Who may make an account.")

    id = models.SmallIntegerField(primary_key=True, default=1)
    mode = models.CharField(max_length=8, choices=SignUpMode.choices, default=SignUpMode.INVITE)
    # Whether browsers do a proof of work where anyone can sign up, and before further resets.
    captcha = models.BooleanField(default=True, db_default=True)

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="one_sign_up_setting")]

    def __str__(self) -> str:
        return self.mode


class SignUpDomain(models.Model):
    """The organisation and role for people of an email domain, after they confirm an address."""

    unowned_rows = UnownedRows(
        "closed",
        "Where people of a domain belong; domains of other organisations.",
    )

    domain = models.CharField(max_length=253, unique=True)
    organisation = models.ForeignKey(Organisation, models.CASCADE, related_name="sign_up_domains")
    role = models.CharField(max_length=12, choices=Role.choices)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=~models.Q(role__in=(Role.OWNER, Role.CUSTOM)),
                name="sign_up_domain_built_in_role",
            )
        ]

    def __str__(self) -> str:
        return self.domain


class MailEncryption(models.TextChoices):
    """How the connection to a mail server is protected: from its first byte, after a greeting, or
    not at all."""

    TLS = "tls"
    STARTTLS = "starttls"
    NONE = "none"


class MailServer(models.Model):
    """A single row: the server that sends the installation's emails, unless the environment names
    one. `sealed` is the password of `username`."""

    unowned_rows = UnownedRows("closed", "Sends the installation's emails.")

    id = models.SmallIntegerField(primary_key=True, default=1)
    host = models.CharField(max_length=253)
    port = models.PositiveIntegerField()
    encryption = models.CharField(max_length=8, choices=MailEncryption.choices)
    username = models.CharField(max_length=254, blank=True, default="")
    sealed = SealedField(null=True)
    sender = models.CharField(max_length=254, blank=True, default="")

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="one_mail_server")]

    def __str__(self) -> str:
        return self.host


class SingleSignOn(models.Model):
    """An organisation's own identity provider (OpenID Connect). `group_rules` are objects with
    `group`, `role` and `teams`; the first match determines the role."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.OneToOneField(Organisation, models.CASCADE, related_name="single_sign_on")
    issuer = models.CharField(max_length=500)
    client_id = models.CharField(max_length=200)
    sealed = SealedField()
    domains = ArrayField(models.CharField(max_length=253), default=list, blank=True)
    confirmed_domains = ArrayField(
        models.CharField(max_length=253),
        default=list,
        db_default=[],
        blank=True,
        help_text="The domains that an operator has confirmed for the issuer and client below.",
    )
    confirmed_issuer = models.CharField(max_length=500, blank=True, default="", db_default="")
    confirmed_client_id = models.CharField(max_length=200, blank=True, default="", db_default="")
    group_claim = models.CharField(max_length=100, blank=True, default="groups")
    group_rules = models.JSONField(default=list, blank=True)
    default_role = models.CharField(max_length=40, blank=True, default="")
    required = models.BooleanField(
        default=False, help_text="Members who are no owners come in by it alone."
    )
    created_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return self.issuer


class OwnConnection(models.Model):
    """Marks a connection to an identity provider that its person created while signed in. All other
    connections were created by a confirmed email domain, and end with the confirmation."""

    unowned_rows = UnownedRows("closed", "Signing in.")

    account = models.OneToOneField(
        "socialaccount.SocialAccount", models.CASCADE, primary_key=True, related_name="own"
    )
    created_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"of {self.account_id}"


class AuditEvent(models.Model):
    """An audit event, written in the transaction of the change. Append-only by trigger, and sealed
    in a chain (billing/seals/seals.py).

    `session` is a digest that identifies events of the same session. `detail` may have `before` and
    `after` by field name.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    at = models.DateTimeField(db_default=Now())
    actor_user = models.ForeignKey(
        User, models.DO_NOTHING, null=True, related_name="+", db_constraint=False
    )
    actor_key = models.UUIDField(null=True)
    address = models.CharField(max_length=45, db_default="")
    client = models.CharField(max_length=200, db_default="")
    session = models.CharField(max_length=16, db_default="")
    request_id = models.CharField(max_length=26, db_default="")
    reason = models.CharField(max_length=500, db_default="")
    organisation = models.ForeignKey(Organisation, models.PROTECT, null=True, related_name="+")
    action = models.CharField(max_length=60)
    object_type = models.CharField(max_length=40)
    object_id = models.CharField(max_length=60)
    detail = models.JSONField(default=dict)

    class Meta:
        indexes = [
            models.Index(fields=["organisation", "-id"], name="audit_by_organisation"),
            models.Index(fields=["object_id", "-id"], name="audit_by_object"),
            # The seals read what was written since the last one.
            models.Index(fields=["at"], name="audit_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.object_type} {self.object_id}"


class Erasure(models.Model):
    """The erasure of a person (playground/erasure/erasure_requests.py). `step` is the next step.

    With an `organisation` only what lies in it is erased, and the account stays.
    `pseudonym` replaces the person in what is kept. The search data is kept until `done_at` and
    then emptied: `addresses`, `names`, other `texts` of the person, the `objects_named` in audit
    events about them ("key:<id>"), and the `organisations` that they belonged to. `unreached` names
    the sinks of usage that were off and have records of before.
    """

    unowned_rows = UnownedRows("closed", "Who is being erased, in all organisations.")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    user = models.ForeignKey(User, models.PROTECT, related_name="+")
    organisation = models.ForeignKey(Organisation, models.PROTECT, null=True, related_name="+")
    pseudonym = models.CharField(max_length=40, unique=True)
    asked_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    asked_at = models.DateTimeField(db_default=Now())
    done_at = models.DateTimeField(null=True)
    step = models.CharField(max_length=20)
    waits_for = models.CharField(max_length=20, blank=True, default="")
    counts = models.JSONField(default=dict)
    addresses = ArrayField(models.TextField(), default=list)
    names = ArrayField(models.TextField(), default=list)
    texts = ArrayField(models.TextField(), default=list)
    objects_named = ArrayField(models.TextField(), default=list)
    organisations = ArrayField(models.UUIDField(), default=list)
    unreached = ArrayField(models.TextField(), default=list, db_default=[])

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["user"],
                condition=models.Q(organisation=None),
                name="one_erasure_of_an_account",
            ),
            models.UniqueConstraint(
                fields=["user", "organisation"],
                condition=models.Q(done_at=None),
                name="one_running_erasure_in_an_organisation",
            ),
        ]
        indexes = [
            models.Index(
                fields=["id"], condition=models.Q(done_at=None), name="unfinished_erasures"
            )
        ]

    def __str__(self) -> str:
        return self.pseudonym


class AuditCheck(models.Model):
    """A single row: the result of the last check of the chain of audit events. `problem` is empty
    while every seal up to `until` is valid."""

    unowned_rows = UnownedRows("read_only", "Up to when the trail was proved.")

    id = models.SmallIntegerField(primary_key=True, default=1)
    checked_at = models.DateTimeField()
    until = models.DateTimeField(null=True)
    problem = models.TextField(default="")

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="one_audit_check")]

    def __str__(self) -> str:
        return self.problem or f"holds until {self.until}"


class TablePreference(models.Model):
    """A person's settings for one table. Empty or 0 means the default."""

    unowned_rows = UnownedRows("shared", "A person's own, in every organisation.")

    user = models.ForeignKey(User, models.CASCADE, related_name="table_preferences")
    table = models.CharField(max_length=40)
    columns = ArrayField(models.CharField(max_length=40), default=list, blank=True)
    page_size = models.PositiveSmallIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "table"], name="table_preference_once")
        ]

    def __str__(self) -> str:
        return f"{self.table} of {self.user_id}"


class SecretCheck(models.Model):
    """A single row that shows a process whether it has the secrets of this database. `kek_ids` are
    the KEKs that sealed values may use; none of them may be missing. `seal_key` is the key of the
    seals over the books since its KEK was replaced."""

    unowned_rows = UnownedRows("closed", "The installation's secrets.")

    id = models.SmallIntegerField(primary_key=True, default=1)
    sealed = SealedField()
    kek_ids = ArrayField(models.CharField(max_length=8), db_default=[])
    seal_key = SealedField(null=True)

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="one_secret_check")]

    def __str__(self) -> str:
        return "secrets"


class Epoch(models.Model):
    """A single row that counts changes of the data that relays hold in memory."""

    unowned_rows = UnownedRows("shared", "One row for the installation.")

    id = models.SmallIntegerField(primary_key=True, default=1)
    n = models.BigIntegerField(default=0)

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="one_epoch")]

    def __str__(self) -> str:
        return str(self.n)
