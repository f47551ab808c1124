"""The forms of the pages. The forms for signing in come from allauth, with our look."""

import datetime as dt
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Final, cast

from allauth.account import forms as allauth
from allauth.core import context
from django import forms
from django.contrib.auth.hashers import make_password
from django.http import HttpRequest, HttpResponse
from django.utils.functional import Promise
from django.utils.translation import gettext, gettext_lazy

from accounts.access import access
from accounts.access.actors import Actor
from accounts.keys.keys import GRACE_HOURS, GRACE_HOURS_MAX
from accounts.limits.data_policy import CLIENT_ADDRESS_DAYS_MAX
from accounts.limits.rules import ENDPOINTS, LIMIT_MAX, LISTED_MAX, LimitInvalid, check_limits
from accounts.members.access import visible_members
from accounts.members.team_members import members_led_by
from accounts.models import (
    CustomRole,
    KeyKind,
    Organisation,
    Project,
    Role,
    ServiceAccount,
    Team,
    User,
)
from accounts.names.labels import split_labels
from accounts.names.names import NAME_MAX
from accounts.organisations.organisations import REASON_MAX
from accounts.sessions.security_changes import network_of_request
from accounts.sign_up import sign_up
from accounts.throttle import captcha, try_counts
from accounts.throttle.throttle import Limit, limits_of_letters, limits_of_unchecked_resets
from lib import clock
from lib.forms.picker import PickSelectMultiple, split_words
from lib.ids import id_text
from lib.numbers.whole_numbers import WholeNumberField

# The message for a value of the wrong type. The rules use the same message for files and the API.
_NO_SUCH = {
    "networks": gettext_lazy(
        "%(word)s is not a valid network. Write it as 10.0.0.0/8 or as a single address."
    ),
    "data_regions": gettext_lazy("%(word)s is not a region. Enter one such as eu or us-east-1."),
    "tags": gettext_lazy("%(word)s is not a valid tag. A tag has 1 to 100 visible characters."),
}


def _count(label: Any, hint: Any) -> WholeNumberField:
    return WholeNumberField(
        label=label,
        required=False,
        min_value=1,
        max_value=LIMIT_MAX,
        help_text=hint,
        widget=forms.NumberInput(attrs={"inputmode": "numeric"}),
    )


def _words_field(label: Any, hint: Any) -> forms.CharField:
    return forms.CharField(
        label=label,
        required=False,
        max_length=4000,
        help_text=hint,
        widget=forms.TextInput(attrs={"spellcheck": "false", "autocomplete": "off"}),
    )


def _required_labels() -> forms.MultipleChoiceField:
    return forms.MultipleChoiceField(
        label=gettext_lazy("Required labels"),
        required=False,
        choices=[
            ("project", gettext_lazy("Project")),
            ("customer", gettext_lazy("End customer")),
            ("tags", gettext_lazy("Tags")),
        ],
        widget=forms.CheckboxSelectMultiple,
        help_text=gettext_lazy("Reject requests missing these labels."),
    )


def _zero_retention() -> forms.BooleanField:
    return forms.BooleanField(
        label=gettext_lazy("Require zero data retention"),
        required=False,
        help_text=gettext_lazy("Only use providers that retain no data."),
    )


def _data_regions() -> forms.CharField:
    return _words_field(
        gettext_lazy("Data regions"),
        gettext_lazy("For example eu or us-east-1. Only use providers in these regions."),
    )


class CountsForm(forms.Form):
    """Limits per minute and on concurrent requests. An empty field means no limit."""

    rpm = _count(gettext_lazy("Requests per minute"), gettext_lazy("Over any 60 seconds."))
    tpm = _count(
        gettext_lazy("Tokens per minute"),
        gettext_lazy("Counts a request's maximum tokens until it ends, then its actual tokens."),
    )
    parallel = _count(
        gettext_lazy("Concurrent requests"), gettext_lazy("Requests running at the same time.")
    )


class LimitsForm(CountsForm):
    """Restrictions of a key. Every field may be empty."""

    endpoints = forms.MultipleChoiceField(
        label=gettext_lazy("Endpoints"),
        required=False,
        choices=[(name, name) for name in ENDPOINTS],
        widget=PickSelectMultiple(notes=lambda: ENDPOINTS),
        error_messages={
            "invalid_choice": gettext_lazy("There is no endpoint named %(value)s."),
        },
        help_text=gettext_lazy("Leave empty to allow all."),
    )
    networks = _words_field(
        gettext_lazy("Allowed networks"),
        gettext_lazy("For example 10.0.0.0/8. Leave empty to allow any address."),
    )
    tags = _words_field(
        gettext_lazy("Tags"),
        gettext_lazy(
            "Separated by commas. Added to every request made with this key, for grouping and "
            "budgets."
        ),
    )
    required_labels = _required_labels()
    log_content = forms.BooleanField(
        label=gettext_lazy("Store content"),
        required=False,
        initial=True,
        help_text=gettext_lazy(
            "Keep answers (encrypted) for up to 24 hours so requests can continue or replay them."
        ),
    )

    zero_retention = _zero_retention()
    data_regions = _data_regions()

    def clean_data_regions(self) -> list[str]:
        return self._listed("data_regions", split_words)

    @property
    def has_limit_errors(self) -> bool:
        """Whether one of these fields is wrong; forms that fold them away open them then."""
        return any(name in self.errors for name in LimitsForm.base_fields)

    def clean_networks(self) -> list[str]:
        return self._listed("networks", split_words)

    def clean_tags(self) -> list[str]:
        return self._listed("tags", split_labels)

    def _listed(self, field: str, split: Callable[[str], list[str]]) -> list[str]:
        words = split(self.cleaned_data[field])
        for word in words:
            try:
                check_limits({field: [word]})
            except LimitInvalid as error:
                message = _NO_SUCH[field] % {"word": word[:40]}
                raise forms.ValidationError(message) from error
        try:
            check_limits({field: words})
        except LimitInvalid as error:
            text = gettext("You can list up to %(n)s entries.") % {"n": LISTED_MAX}
            raise forms.ValidationError(text) from error
        return words


class KeyPlaceForm(forms.Form):
    """The holder, team and project of a new key. Fields with only one choice are left out. A
    project and a service account determine the team."""

    holder = forms.ChoiceField(label=gettext_lazy("Owner"), required=False)
    team = forms.ChoiceField(label=gettext_lazy("Team"), required=False)
    project = forms.ChoiceField(label=gettext_lazy("Project"), required=False)

    def __init__(self, *args: Any, actor: Actor, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._accounts: dict[str, ServiceAccount] = {}
        self._people: dict[str, User] = {}
        if access.scope_of(actor, "keys.write") is not None:
            accounts = access.visible_service_accounts(actor).filter(disabled=False)
            self._accounts = {id_text(account.id): account for account in accounts}
            self._people = _colleagues_of(actor)
        self._teams = {
            team.slug: team for team in access.visible_teams(actor).filter(archived_at=None)
        }
        self._projects: dict[str, Project] = {}
        if access.scope_of(actor, "teams.read") is not None:
            active = access.visible_projects(actor).filter(archived_at=None)
            self._projects = {project.slug: project for project in active}
        holders = [(id, user.name or user.email) for id, user in self._people.items()]
        holders += [(id, account.name) for id, account in self._accounts.items()]
        projects = [(slug, project.name) for slug, project in self._projects.items()]
        self._offer("holder", [("", gettext("You")), *holders])
        self._offer("team", [(slug, team.name) for slug, team in self._teams.items()])
        self._offer("project", [("", gettext("None")), *projects])

    def _offer(self, name: str, choices: list[tuple[str, str]]) -> None:
        cast(forms.ChoiceField, self.fields[name]).choices = choices
        if len(choices) < 2:
            del self.fields[name]

    def person(self) -> User | None:
        """Return the colleague who will hold the key, or None if the actor or a service account
        will."""
        return self._people.get(self.cleaned_data.get("holder", ""))

    def place(self) -> tuple[Team | None, ServiceAccount | None, Project | None]:
        """Return the team (None means the actor's first one), the service account and the
        project."""
        account = self._accounts.get(self.cleaned_data.get("holder", ""))
        project = self._projects.get(self.cleaned_data.get("project", ""))
        team = self._teams.get(self.cleaned_data.get("team", ""))
        if project is not None:
            team = project.team
        return (account.team if account else team), account, project


def _colleagues_of(actor: Actor) -> dict[str, User]:
    """Return the members other than the actor who can sign in and have a key, by membership id."""
    if access.scope_of(actor, "members.read") in (None, "own"):
        members = members_led_by(actor)
    else:
        members = visible_members(actor).filter(user__is_active=True)
    members = members.exclude(user=actor.user)
    return {str(member.pk): member.user for member in members}


class KeyForm(LimitsForm):
    """The form of a new key."""

    field_order = ("name", "kind", "lifetime", "models")

    name = forms.CharField(
        label=gettext_lazy("Name"),
        max_length=120,
        help_text=gettext_lazy("For example, web-prod."),
        widget=forms.TextInput(
            attrs={
                "autocomplete": "off",
                "autofocus": True,
                "spellcheck": "false",
            }
        ),
    )
    kind = forms.ChoiceField(
        label=gettext_lazy("Type"),
        choices=[
            (KeyKind.RELAY, gettext_lazy("Model calls")),
            (KeyKind.MANAGEMENT, gettext_lazy("Management API")),
        ],
        help_text=gettext_lazy(
            "Model keys call models and see only their own usage. Management keys can do what "
            "your role allows, but cannot call models."
        ),
    )
    lifetime = forms.ChoiceField(
        label=gettext_lazy("Expires"),
        choices=[
            ("", gettext_lazy("Never")),
            ("7", gettext_lazy("In 7 days")),
            ("30", gettext_lazy("In 30 days")),
            ("90", gettext_lazy("In 90 days")),
            ("365", gettext_lazy("In 1 year")),
        ],
        required=False,
    )

    def clean_lifetime(self) -> dt.datetime | None:
        days = self.cleaned_data["lifetime"]
        return clock.now() + dt.timedelta(days=int(days)) if days else None


class RotationForm(forms.Form):
    """How long the old secret works after a key gets a new one."""

    grace_hours = forms.TypedChoiceField(
        label=gettext_lazy("Keep the old key active for"),
        choices=[
            (str(GRACE_HOURS), gettext_lazy("24 hours")),
            ("1", gettext_lazy("1 hour")),
            ("72", gettext_lazy("3 days")),
            (str(GRACE_HOURS_MAX), gettext_lazy("7 days")),
            ("0", gettext_lazy("Not at all (it was leaked)")),
        ],
        coerce=int,
        widget=forms.Select(attrs={"autofocus": True}),
    )


_NEW_PASSWORD: Final[dict[str, Promise]] = {
    "password1": gettext_lazy("New password"),
    "password2": gettext_lazy("Repeat the new password"),
}


class _Ours:
    """Removes the help texts and placeholders from an allauth form."""

    fields: dict[str, forms.Field]
    labels: ClassVar[dict[str, Promise]] = {"password2": gettext_lazy("Repeat the password")}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, field in self.fields.items():
            if name in self.labels:
                field.label = cast("str", self.labels[name])
            field.widget.attrs.pop("placeholder", None)
            field.help_text = ""


class LoginForm(_Ours, allauth.LoginForm):  # type: ignore[misc]
    """Signs in by address and password."""


class _Checked(_Ours):
    """Asks the browser for a proof of work (static/js/captcha.js) where `checks_browser` says so.
    The answer is spent by each attempt, and the page that follows brings another challenge."""

    cleaned_data: dict[str, Any]
    add_error: Callable[[None, str], None]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["captcha"] = forms.CharField(
            required=False, max_length=captcha.ANSWER_MAX, widget=forms.HiddenInput
        )

    def checks_browser(self) -> bool:
        raise NotImplementedError

    def challenge(self) -> str:
        """Return a new challenge for the page, or "" if the browser is not checked."""
        return captcha.new_challenge() if self.checks_browser() else ""

    def check_browser(self) -> None:
        """Spend the answer; a refusal is an error of the form. A request that validates its form
        again has spent it already."""
        request = context.request
        if getattr(request, "browser_checked", False):
            return
        try:
            captcha.accept(self.cleaned_data.get("captcha", ""))
        except captcha.CaptchaRefused as refused:
            self.add_error(None, str(refused))
        else:
            request.browser_checked = True


class SignupForm(_Checked, allauth.SignupForm):  # type: ignore[misc]
    """Creates an account."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["password1"].help_text = gettext("At least 10 characters.")

    def checks_browser(self) -> bool:
        return sign_up.checks_browser(context.request)

    def clean(self) -> Any:
        cleaned = super().clean()
        if self.checks_browser():
            self.check_browser()
        return cleaned

    def clean_email(self) -> str:
        # Check this before any look-up, so that known and unknown addresses of a domain get the
        # same answer.
        if not sign_up.accepts(context.request, self.cleaned_data["email"]):
            raise forms.ValidationError(
                gettext(
                    "Sign-up with this email domain is by invitation only. Use your work "
                    "address, or ask a member of your organisation to invite you."
                )
            )
        return str(super().clean_email())

    def try_save(self, request: HttpRequest) -> tuple[User | None, HttpResponse | None]:
        if self.account_already_exists:
            # Take as long as creating an account would. Nearly all of that time is the hash.
            make_password(self.cleaned_data["password1"])
        saved: tuple[User | None, HttpResponse | None] = super().try_save(request)
        return saved


class ResetPasswordForm(_Checked, allauth.ResetPasswordForm):  # type: ignore[misc]
    """Requests a link that sets a new password. The first few of a network need no check."""

    def checks_browser(self) -> bool:
        return sign_up.checks_browsers() and try_counts.is_used_up(self._unchecked())

    def clean(self) -> Any:
        cleaned = super().clean()
        if sign_up.checks_browsers():
            try:
                try_counts.count(self._unchecked())
            except try_counts.TooManyTries:
                self.check_browser()
        return cleaned

    def _unchecked(self) -> tuple[Limit, ...]:
        return limits_of_unchecked_resets(network_of_request(context.request))

    def save(self, request: HttpRequest, **kwargs: Any) -> Any:
        try_counts.count(limits_of_letters(self.cleaned_data["email"]))
        return super().save(request, **kwargs)


class ResetPasswordKeyForm(_Ours, allauth.ResetPasswordKeyForm):  # type: ignore[misc]
    """Sets the new password after such a link."""

    labels: ClassVar[dict[str, Promise]] = _NEW_PASSWORD


class ChangePasswordForm(_Ours, allauth.ChangePasswordForm):  # type: ignore[misc]
    """Changes the password of a signed-in person."""

    labels: ClassVar[dict[str, Promise]] = {
        **_NEW_PASSWORD,
        "oldpassword": gettext_lazy("Current password"),
    }


class SetPasswordForm(_Ours, allauth.SetPasswordForm):  # type: ignore[misc]
    """Sets the first password of a person who has only used sign-in links."""


class ReauthenticateForm(_Ours, allauth.ReauthenticateForm):  # type: ignore[misc]
    """Asks a signed-in person for the password again."""


class NameForm(forms.Form):
    """A form with one name."""

    name = forms.CharField(
        label=gettext_lazy("Name"),
        max_length=NAME_MAX,
        widget=forms.TextInput(attrs={"autocomplete": "off", "autofocus": True}),
    )


class TeamForm(NameForm):
    """A team, as its admins change it."""

    required_labels = _required_labels()


class ProjectForm(NameForm):
    """A project. `teams` are the slugs of the teams that it can be in."""

    team = forms.ChoiceField(label=gettext_lazy("Team"))

    def __init__(self, *args: Any, teams: Iterable[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        cast(forms.ChoiceField, self.fields["team"]).choices = list(teams)


class OrganisationForm(NameForm):
    """Settings of an organisation for its owners. `roles` are those that can require a second
    factor, or None if the actor may not change them."""

    include_cost = forms.BooleanField(
        label=gettext_lazy("Include the cost in responses"),
        required=False,
        help_text=gettext_lazy("A request can override this."),
    )
    retention_hours = WholeNumberField(
        label=gettext_lazy("Response retention (hours)"),
        min_value=0,
        max_value=24,
        help_text=gettext_lazy(
            "From 0 to 24; 0 turns it off. Kept encrypted so that later requests can continue or "
            "repeat them."
        ),
    )
    client_address_days = WholeNumberField(
        label=gettext_lazy("Keep client IP addresses for (days)"),
        min_value=0,
        max_value=CLIENT_ADDRESS_DAYS_MAX,
        help_text=gettext_lazy(
            "From 0 to 365. The address of a request is shown to those who may change its key or "
            "read the audit log. 0 keeps none."
        ),
    )
    zero_retention = _zero_retention()
    data_regions = _data_regions()
    required_labels = _required_labels()
    display_currency = forms.CharField(
        label=gettext_lazy("Also show amounts in"),
        max_length=3,
        required=False,
        help_text=gettext_lazy(
            "A currency code such as EUR. Charges stay in USD; totals show the converted amount "
            "beside them, with the rate and its day."
        ),
        widget=forms.TextInput(attrs={"autocomplete": "off", "class": "mono"}),
    )
    second_factor_roles = forms.MultipleChoiceField(
        label=gettext_lazy("Require two-factor authentication for"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=gettext_lazy("They are prompted at their next sign-in."),
    )

    def __init__(self, *args: Any, roles: Iterable[tuple[str, Any]] | None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if isinstance(regions := self.initial.get("data_regions"), list):
            self.initial["data_regions"] = " ".join(regions)
        if roles is None:
            del self.fields["second_factor_roles"]
            return
        factor = cast(forms.MultipleChoiceField, self.fields["second_factor_roles"])
        factor.choices = list(roles)

    def clean_data_regions(self) -> list[str]:
        return split_words(self.cleaned_data["data_regions"])


class NewOrganisationForm(forms.Form):
    """An organisation that an operator creates."""

    name = forms.CharField(
        label=gettext_lazy("Name"),
        max_length=NAME_MAX,
        widget=forms.TextInput(attrs={"autocomplete": "off", "autofocus": True}),
    )
    owner = forms.EmailField(
        label=gettext_lazy("Email of the owner"),
        required=False,
        help_text=gettext_lazy(
            "They need an account. Leave it empty to own the organisation yourself, then invite "
            "its members."
        ),
        widget=forms.EmailInput(attrs={"autocomplete": "off"}),
    )


class NewMemberForm(forms.Form):
    """A person whom an operator adds to an organisation without an invitation."""

    email = forms.EmailField(
        label=gettext_lazy("Email"),
        help_text=gettext_lazy("An account is created for an unknown address."),
        widget=forms.EmailInput(attrs={"autocomplete": "off", "autofocus": True}),
    )
    role = forms.ChoiceField(
        label=gettext_lazy("Role"),
        initial=Role.OWNER,
        choices=[(role.value, access.ROLE_NAMES[role.value]) for role in Role if role != "custom"],
    )


class SuspensionForm(forms.Form):
    """The reason for suspending an organisation."""

    reason = forms.CharField(
        label=gettext_lazy("Reason"),
        max_length=REASON_MAX,
        help_text=gettext_lazy("Members see it on every page."),
        widget=forms.TextInput(attrs={"autocomplete": "off", "autofocus": True}),
    )


class RoleChoiceForm(forms.Form):
    """A choice among the roles of an organisation, built in or custom."""

    role = forms.ChoiceField(label=gettext_lazy("Role"), initial=Role.DEVELOPER)

    def __init__(self, *args: Any, organisation: Organisation, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._custom = {
            id_text(role.id): role for role in organisation.custom_roles.order_by("name")
        }
        built_in = [
            (role.value, str(access.ROLE_NAMES[role.value]).capitalize())
            for role in Role
            if role not in (Role.OWNER, Role.CUSTOM)
        ]
        custom = [(id, role.name) for id, role in self._custom.items()]
        cast(forms.ChoiceField, self.fields["role"]).choices = [*built_in, *custom]

    def chosen_role(self) -> tuple[Role, CustomRole | None]:
        """Return the chosen role as stored."""
        custom = self._custom.get(self.cleaned_data["role"])
        return (Role.CUSTOM, custom) if custom else (Role(self.cleaned_data["role"]), None)


class ServiceAccountForm(NameForm, RoleChoiceForm):
    """The form of a new service account. `teams` are the slugs of the teams that it can belong
    to."""

    field_order = ("name", "team", "role")

    team = forms.ChoiceField(label=gettext_lazy("Team"))

    def __init__(self, *args: Any, teams: Iterable[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        cast(forms.ChoiceField, self.fields["team"]).choices = list(teams)


class ServiceAccountEditForm(RoleChoiceForm):
    """Changes what a service account may do."""

    disabled = forms.BooleanField(
        label=gettext_lazy("Disabled"),
        required=False,
        help_text=gettext_lazy("Its keys are rejected until it is enabled again."),
    )
