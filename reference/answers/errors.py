"""The meaning of each kind of error, and what to do next. Status, type and code are in
dialects/errors/errors.py."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from dialects.errors.kinds import ErrorKind


class ErrorHelp(NamedTuple):
    """The texts for one kind."""

    meaning: Promise
    step: Promise


_OURS: Final = _("Try again. If it keeps happening, give the operator the request ID.")
_LATER: Final = _("Retry after a short wait, with increasing delays.")
_WAIT: Final = _("Wait for the time in retry-after, then retry.")
_WAIT_OR_SHORTEN: Final = _(
    "Wait for the time in retry-after, then retry. If this header is missing, waiting does not "
    "help: send a smaller request, or lower the output limit."
)

ERRORS: Final[Mapping[ErrorKind, ErrorHelp]] = {
    "malformed_json": ErrorHelp(
        _("The body is not a valid JSON object, or contains a duplicate key."),
        _("Use a JSON library to build the body."),
    ),
    "missing_parameter": ErrorHelp(
        _("A required parameter is missing. See param for its name."),
        _("Add this parameter."),
    ),
    "invalid_type": ErrorHelp(
        _("A parameter has the wrong type. See param for its name."),
        _("Send the type given in the message."),
    ),
    "invalid_value": ErrorHelp(
        _("A parameter's value is out of range. See param for its name."),
        _(
            "Use a value within the limits given in the error message. The Anthropic and Google "
            "formats return 400."
        ),
    ),
    "context_length_exceeded": ErrorHelp(
        _("The request is longer than the model's context."),
        _("Shorten the conversation, or choose a model with more context."),
    ),
    "content_filtered": ErrorHelp(
        _("The provider blocked the prompt."), _("Change the prompt, or try another model.")
    ),
    "guard_refused": ErrorHelp(
        _(
            "A guard in a policy of the key rejected a text. In OpenAI's format, the guard's own "
            "code replaces guard_refused. In other formats, the guard's own code is in the details "
            "of the error."
        ),
        _("Leave out what the guard looks for. The page of the key lists the key's policies."),
    ),
    "provider_rejected": ErrorHelp(
        _("The provider rejected the request. The message comes from the provider."),
        _(
            "Fix what the message describes. If the message names a parameter, an operator can "
            "remove this parameter for the model in the channel's overrides."
        ),
    ),
    "unsupported_capability": ErrorHelp(
        _(
            "The model or Weir does not support a parameter or another part of the request. Or "
            "Weir did not store the answer to the Idempotency-Key."
        ),
        _("Remove this part, or choose a model that supports it. See the Models page."),
    ),
    "thread_unsupported": ErrorHelp(
        _("The request names a thread that a provider stores. Weir does not support threads."),
        _("Send the full conversation instead."),
    ),
    "authentication": ErrorHelp(
        _("The key is missing, unknown, revoked, disabled or expired."),
        _("Check the key, or create a new one on the API keys page."),
    ),
    "key_conflict": ErrorHelp(_("The request contains two different keys."), _("Send only one.")),
    "insufficient_balance": ErrorHelp(
        _(
            "The balance or a budget does not cover the maximum cost of the request. You are not "
            "charged."
        ),
        _(
            "Top up, raise the budget, or lower the output limit. The message names the balance or "
            "the budget. For a budget, the message also gives the limit, the amount spent, and the "
            "time at which the budget resets."
        ),
    ),
    "max_cost_exceeded": ErrorHelp(
        _("The request could cost more than its own limit. You are not charged."),
        _("Raise max_cost or x-weir-max-cost, or lower the output limit, or send less input."),
    ),
    "model_unpriced": ErrorHelp(
        _("The model has no price for this request."),
        _("Ask an operator to set a price. The message usually names the page for this."),
    ),
    "permission": ErrorHelp(
        _(
            "The key or one of its policies does not permit this model, endpoint or network. Or "
            "the key is a management key."
        ),
        _("Use another key, or change the key or the policy that the message names."),
    ),
    "data_policy": ErrorHelp(
        _(
            "The organisation, the key or the request requires providers that keep no data, or "
            "that are in certain regions. No channel of the model meets this requirement."
        ),
        _("Use another model, or ask for less in x-weir-data-policy."),
    ),
    "session_ended": ErrorHelp(
        _("Someone ended the session of the request."),
        _("Start another session, or reopen this one on the session's page."),
    ),
    "model_not_found": ErrorHelp(
        _(
            "No channel serves this name, or the model is hidden from the price plan or the role "
            "of the key."
        ),
        _("Check the name against GET /v1/models. If the name is right, ask an operator."),
    ),
    "model_retired": ErrorHelp(
        _("The model has been retired."),
        _("Use the model that the message names. If the message names none, ask an operator."),
    ),
    "task_not_found": ErrorHelp(
        _("The ID is unknown, belongs to another team or key, or has expired."),
        _("Check the ID."),
    ),
    "route_not_found": ErrorHelp(
        _("This URL does not exist."),
        _("Check the base URL. A base URL ends in /v1 only for clients of OpenAI's API."),
    ),
    "method_not_allowed": ErrorHelp(
        _(
            "The URL does not support this method. The header Allow lists the methods that it "
            "supports."
        ),
        _("Use one of these methods."),
    ),
    "request_timeout": ErrorHelp(
        _("The request was not received within the time given in the message."),
        _("Send the request again over a faster connection, or send a smaller request."),
    ),
    "conflict": ErrorHelp(
        _(
            "Another request with the same Idempotency-Key is still running. Or this request needs "
            "a video or another media task that has not succeeded, or an input that Weir did not "
            "store."
        ),
        _("Wait until the other request or the media task has finished, then retry."),
    ),
    "body_too_large": ErrorHelp(
        _(
            "The body is larger than the limit in the message. This limit is fixed. Or the "
            "provider rejected the body as too large."
        ),
        _("Send less, or send files by URL."),
    ),
    "unsupported_media_type": ErrorHelp(
        _("The content type of the body is not supported, or the body is compressed."),
        _("Send uncompressed JSON, or multipart/form-data if the endpoint takes files."),
    ),
    "headers_too_large": ErrorHelp(
        _("The header section is larger than 32 KiB or has more than 100 lines."),
        _("Send fewer or shorter headers."),
    ),
    "idempotency_mismatch": ErrorHelp(
        _("The Idempotency-Key was used with a different body in the last 24 hours."),
        _(
            "Use a new Idempotency-Key for a new request. The Anthropic and Google formats return "
            "400."
        ),
    ),
    "rate_limited": ErrorHelp(
        _(
            "The request reached a limit of the key, of the key's team or person, or of the "
            "organisation. Or a budget is used up and slows requests down. The message names the "
            "limit or budget."
        ),
        _WAIT_OR_SHORTEN,
    ),
    "upstream_rate_limited": ErrorHelp(
        _(
            "No channel of the model is free, because one or more channels are at their provider's "
            "limit, or at a limit that an operator has set. The message names the limit."
        ),
        _WAIT_OR_SHORTEN,
    ),
    "client_closed": ErrorHelp(
        _(
            "The client disconnected before the answer was complete. This status appears only on "
            "the Requests page. By default, the input and the text up to the disconnect are "
            "charged. A charge rule or a setting of the channel can change this."
        ),
        _("If the client disconnected on purpose, there is nothing to do."),
    ),
    "internal": ErrorHelp(_("The hub failed. You are not charged."), _OURS),
    "not_implemented": ErrorHelp(
        _("This endpoint is known but not supported."), _("Use another endpoint.")
    ),
    "upstream_error": ErrorHelp(_("The provider failed, and no other channel answered."), _LATER),
    "upstream_unreachable": ErrorHelp(_("No provider of the model could be reached."), _LATER),
    "upstream_auth": ErrorHelp(
        _(
            "The provider rejected the key that Weir used with the provider, or the account of "
            "this key has no credit. Your own API key is fine."
        ),
        _(
            "Contact the operator. If your organisation has its own key of the provider, contact "
            "the owners of the organisation."
        ),
    ),
    "upstream_truncated": ErrorHelp(_("The provider's answer ended too early."), _LATER),
    "upstream_malformed": ErrorHelp(_("The provider's answer could not be read."), _LATER),
    "no_channel": ErrorHelp(
        _(
            "The model exists, but its channels are off or failing, or none of them serves a "
            "request like this one."
        ),
        _(
            'If the message contains the words "for such a request", change the request or use '
            "another model. Otherwise, try again later or use another model. If it keeps "
            "happening, contact the operator. The Anthropic format returns 529."
        ),
    ),
    "guard_failed": ErrorHelp(
        _(
            "A guard in a policy of the key got no valid answer in time. The policy lets no text "
            "pass unchecked."
        ),
        _("Retry. If the problem lasts, contact the owners of the organisation."),
    ),
    "overloaded": ErrorHelp(
        _("The provider or the hub is overloaded. The Anthropic format returns 529."), _WAIT
    ),
    "server_shutting_down": ErrorHelp(
        _("This server process is restarting."),
        _("Retry immediately. Another process will answer. The Anthropic format returns 529."),
    ),
    "timeout": ErrorHelp(
        _("A provider did not begin or did not continue its answer within the time limits."),
        _("Use streaming, or request less output."),
    ),
}
