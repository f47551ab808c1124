"""What all dialects of the OpenAI family share: Bearer, Azure's `api-key`, the error body."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tests.fakes.directives import Fault
from tests.fakes.question import Problem, Wrong
from tests.fakes.story import Talk
from tests.fakes.wire import error_object


class OpenAITalk(Talk):
    """A path below `/v1`, or on Azure below `/openai/v1` or `/openai/deployments/{deployment}`."""

    def __init__(
        self, *, azure: bool = False, deployment: str | None = None, versioned: bool = True
    ) -> None:
        self.azure = azure
        self.deployment = deployment
        self.versioned = versioned  # False: the path needs ?api-version and lacks it

    def credential(
        self, headers: Mapping[str, str], query: Mapping[str, str]
    ) -> tuple[str, str | None]:
        if self.azure:
            return "api-key", headers.get("api-key")
        kind, _, key = headers.get("authorization", "").partition(" ")
        return "bearer", key if kind.lower() == "bearer" else None

    def no_key(self, value: str | None) -> Problem:
        if self.azure:
            text = "Access denied due to invalid subscription key or wrong API endpoint."
            return Problem(401, text, code="401")
        return super().no_key(value)

    def error(self, problem: Problem) -> Any:
        if self.azure and problem.code in ("401", "404", "429", "DeploymentNotFound"):
            return {"error": {"code": problem.code, "message": problem.message}}
        created = error_object(problem.message, problem.kind, problem.code, problem.param)
        if self.azure and problem.code == "content_filter":
            results = {"violence": {"filtered": True, "severity": "medium"}}
            inner = {"code": "ResponsibleAIPolicyViolation", "content_filter_result": results}
            created["error"] |= {"status": problem.status, "innererror": inner}
        return created

    def adapt(self, problem: Problem) -> Problem:
        if not self.azure:
            return problem
        match problem.fault:
            case Fault("F5", "401"):
                return self.no_key(None)
            case Fault("F6", "content"):
                text = "The response was filtered due to the prompt triggering the policy."
                return replace(problem, message=text, code="content_filter", param="prompt")
            case Fault("F7"):
                text = "The API deployment for this resource does not exist."
                return replace(problem, message=text, code="DeploymentNotFound")
            case Fault("F8"):
                text = "Requests have exceeded the call rate limit of your pricing tier."
                return replace(problem, message=text, code="429")
        return problem

    def model_of(self, body: Mapping[str, Any]) -> str:
        """The model of a body, on Azure the deployment of the path."""
        if not self.versioned:
            raise Wrong(404, "Resource not found", code="404")
        if self.deployment is not None:
            return self.deployment
        model = body.get("model")
        if not isinstance(model, str) or not model:
            raise Wrong(400, "Required parameter 'model' is missing.", param="model")
        return model

    def usage(self, usage: dict[str, Any]) -> dict[str, Any]:
        return usage
