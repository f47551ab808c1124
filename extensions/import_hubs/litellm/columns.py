"""The meaning of the columns of LiteLLM's tables (schema.prisma of 1.80 to 1.110)."""

from collections.abc import Mapping
from typing import Final

from extensions.import_hubs.columns import Reasons, TableColumns

ORGANIZATIONS: Final = "LiteLLM_OrganizationTable"
TEAMS: Final = "LiteLLM_TeamTable"
USERS: Final = "LiteLLM_UserTable"
KEYS: Final = "LiteLLM_VerificationToken"
BUDGETS: Final = "LiteLLM_BudgetTable"
IN_ORGANIZATIONS: Final = "LiteLLM_OrganizationMembership"
IN_TEAMS: Final = "LiteLLM_TeamMembership"
MODELS: Final = "LiteLLM_ProxyModelTable"
ALIASES: Final = "LiteLLM_ModelTable"
PERMISSIONS: Final = "LiteLLM_ObjectPermissionTable"

_WHEN: Final = ("created_at", "created_by", "updated_at", "updated_by", "settings_updated_at")
_METADATA: Final = frozenset({"metadata"})
_LIMITS: Final = ("rpm_limit", "tpm_limit", "max_parallel_requests")
_BUDGET: Final = ("max_budget", "budget_duration", "budget_reset_at", "spend", "budget_id")
_FIGURES: Final[Reasons] = {
    "figures of the past": ("model_spend", "total_spend", "last_active", "rotation_count"),
    "alerts only": ("soft_budget", "soft_budget_cooldown", "metadata.soft_budget*"),
    "when and by whom": _WHEN,
    "labels": ("metadata.tags", "metadata.service_account_id"),
    "a raised budget counts as not raised": (
        *("metadata.temp_budget_increase", "metadata.temp_budget_expiry"),
        *("temp_budget_increase", "temp_budget_expiry"),
    ),
    "how requests are logged there": ("metadata.logging", "metadata.prompts"),
    "how limits are counted there": (
        *("metadata.rpm_limit_type", "metadata.tpm_limit_type"),
        *("metadata.default_estimated_output_tokens*", "metadata.throttle_on_budget_exceeded"),
        "metadata.enable_prompt_caching",
    ),
    "tools and files that are not here": (
        *("metadata.mcp_rpm_limit", "metadata.allowed_vector_store_indexes"),
        "metadata.secret_manager_settings",
    ),
    "how long keys last that members make": ("metadata.team_member_key_duration",),
}
_CLOSES: Final[Reasons] = {
    "budgets and limits of a kind that is not here": (
        *("model_max_budget", "budget_limits", "tpd_limit", "budget_fallbacks"),
        *("metadata.model_rpm_limit", "metadata.model_tpm_limit", "metadata.model_itpm_limit"),
        *("metadata.model_otpm_limit", "metadata.tag_rpm_limit", "metadata.model_max_budget"),
        "metadata.end_user_budget_id",
    ),
    "checks of what is asked and answered": (
        *("policies", "metadata.policies", "metadata.guardrails", "metadata.enforced_params"),
        *("metadata.disable_global_guardrails", "metadata.require_trace_id"),
        *("metadata.enforced_batch_output_expires_after", "metadata.enforced_file_expires_after"),
    ),
    "which routes may be asked": (
        *("metadata.allowed_passthrough_routes", "metadata.denied_passthrough_routes"),
    ),
    "which model answers for a name": ("router_settings",),
    "groups of models, servers and agents": ("access_group_ids",),
    "what the identity provider turned off": ("metadata.scim_active", "metadata.scim_blocked"),
    "a setting of the object that is not known": ("metadata (unreadable)",),
}

COLUMNS: Final[Mapping[str, TableColumns]] = {
    ORGANIZATIONS: TableColumns(
        imported={
            "the organisation": ("organization_id", "organization_alias"),
            "balance or budget": _BUDGET,
            "its plan": ("models",),
            "restricts, where its row does": ("object_permission_id",),
        },
        closes=_CLOSES,
        unused=_FIGURES,
        documents=_METADATA,
        remarks=_METADATA,
    ),
    TEAMS: TableColumns(
        imported={
            "the team": ("team_id", "team_alias", "organization_id"),
            "left out, with its keys": ("blocked",),
            "members": ("members_with_roles", "members", "admins"),
            "who may make keys": ("team_member_permissions",),
            "budget": _BUDGET,
            "the budget of each member": ("metadata.team_member_budget_id",),
            "limits": _LIMITS,
            "its plan": ("models",),
            "restricts, where its row does": ("object_permission_id", "model_id"),
        },
        closes=_CLOSES,
        unused={
            **_FIGURES,
            "what new members and settings get there": (
                *("default_team_member_models", "allow_team_guardrail_config"),
            ),
        },
        documents=_METADATA,
        remarks=_METADATA,
    ),
    USERS: TableColumns(
        imported={
            "the person": ("user_id", "user_email"),
            "the organisations and teams": ("teams", "team_id", "organization_id"),
            "the role": ("user_role",),
            "budget": _BUDGET,
            "limits": _LIMITS,
            "models of keys of no team": ("models",),
            "restricts, where its row does": ("object_permission_id",),
        },
        closes=_CLOSES,
        unused={
            **_FIGURES,
            "people choose a password here": (
                *("password", "password_reset_required", "last_breach_check_at"),
            ),
            "how people sign in": ("sso_user_id", "user_alias"),
            "caching of answers, which is not here": ("allowed_cache_controls",),
        },
        documents=_METADATA,
        remarks=_METADATA,
    ),
    KEYS: TableColumns(
        imported={
            "the key": ("token", "key_name", "key_alias"),
            "whose it is": ("user_id", "team_id", "organization_id"),
            "when it ends": ("expires",),
            "disabled": ("blocked",),
            "disabled unless it is for models": ("allowed_routes", "key_type"),
            "budget": _BUDGET,
            "limits": _LIMITS,
            "its models": ("models",),
            "restricts, where its row does": ("object_permission_id",),
        },
        closes={
            **_CLOSES,
            "another name for a model": ("aliases",),
            "settings of one key": ("config", "permissions"),
            "what it belongs to beside a team": ("project_id", "agent_id"),
        },
        unused={
            **_FIGURES,
            "the key is not replaced by itself here": (
                *("auto_rotate", "key_rotation_at", "last_rotation_at", "rotation_interval"),
            ),
            "caching of answers, which is not here": ("allowed_cache_controls",),
        },
        documents=_METADATA,
        remarks=_METADATA,
    ),
    BUDGETS: TableColumns(
        imported={
            "of whoever names it": ("budget_id", *_BUDGET, *_LIMITS),
            "the models of a member": ("allowed_models",),
        },
        closes={"budgets and limits of a kind that is not here": ("model_max_budget", "tpd_limit")},
        unused=_FIGURES,
    ),
    IN_TEAMS: TableColumns(
        imported={"the budget of a person": ("user_id", "team_id", "spend", "budget_id")},
        unused=_FIGURES,
    ),
    IN_ORGANIZATIONS: TableColumns(
        imported={
            "the budget and role of a person": (
                *("user_id", "organization_id", "spend", "budget_id", "user_role"),
            ),
        },
        unused=_FIGURES,
    ),
    PERMISSIONS: TableColumns(
        imported={"its own id": ("object_permission_id",)},
        closes={"narrows models and tools": ("models", "blocked_tools")},
        unused={
            "gives what is not here": (
                *("mcp_servers", "mcp_access_groups", "mcp_tool_permissions", "mcp_toolsets"),
                *("mcp_tool_search_enabled", "vector_stores", "agents", "agent_access_groups"),
                *("search_tools", "skills"),
            ),
        },
    ),
    MODELS: TableColumns(
        imported={
            "the channel": ("model_id", "model_name", "litellm_params.*"),
            "turned off": ("blocked", "model_info.blocked"),
            "the teams that it serves": ("model_info.team_id", "model_info.team_public_model_name"),
            "the names of groups of models": ("model_info.access_groups",),
            "the price": ("model_info.base_model", "model_info.*cost*"),
        },
        closes={
            "when and whom it serves": (
                *("model_info.access_windows", "model_info.enforce_supported_endpoints"),
                *("model_info.supported_environments", "model_info.tier"),
                *("model_info.ptu_count", "model_info.cost_per_ptu_per_hour"),
            ),
        },
        unused={
            "when and by whom": (*_WHEN, *(f"model_info.{name}" for name in _WHEN)),
            "facts of the model": (
                *("model_info.id", "model_info.db_model", "model_info.mode", "model_info.key"),
                *("model_info.input_cost*", "model_info.output_cost*", "model_info.cache_*"),
                *("model_info.max_tokens", "model_info.max_input_tokens", "model_info.supports_*"),
                *("model_info.max_output_tokens", "model_info.litellm_provider"),
                *("model_info.rpm", "model_info.tpm", "model_info.source"),
                *("model_info.discoverable", "model_info.member_auto_router"),
                "model_info.supported_*",
            ),
        },
        documents=frozenset({"model_info", "litellm_params"}),
        remarks=frozenset({"model_info"}),
    ),
}

WHOLE_HUB: Final[Mapping[str, TableColumns]] = {
    "LiteLLM_Config": TableColumns(
        imported={"the name of a part": ("param_name",)},
        closes={
            "limits and checks of every request": (
                *("general_settings.allowed_ips", "general_settings.enforced_params"),
                *("general_settings.enforce_user_param", "general_settings.max_parallel_requests"),
                *("general_settings.global_max_parallel_requests", "litellm_settings.max_budget"),
                *("litellm_settings.budget_duration", "litellm_settings.guardrails"),
                *("litellm_settings.banned_keywords_list", "litellm_settings.blocked_user_list"),
                *("general_settings.apply_user_budget_to_team_keys",),
                *("router_settings.model_group_alias", "router_settings.provider_budget_config"),
            ),
        },
        unused={
            "when": ("last_run_at", "reload_revision"),
            "secrets, and the program itself": (
                *("environment_variables", "callback_settings", "model_cost_map_reload_config"),
                *("anthropic_beta_headers_reload_config", "general_settings.database_*"),
                *("general_settings.disable_*", "general_settings.max_request_size_mb"),
                *("general_settings.max_response_size_mb", "general_settings.maximum_spend_logs*"),
                *("general_settings.proxy_budget_rescheduler*", "general_settings.alerting*"),
            ),
            "what is made anew gets": (
                *("litellm_settings.default_*", "litellm_settings.max_internal_user_budget"),
                "litellm_settings.internal_user_budget_duration",
            ),
        },
        documents=frozenset({"general_settings", "litellm_settings", "router_settings"}),
        remarks=frozenset({"general_settings", "litellm_settings", "router_settings"}),
    ),
    "LiteLLM_GuardrailsTable": TableColumns(
        imported={"its name": ("guardrail_id", "guardrail_name")},
        closes={"checks every request": ("litellm_params.default_on",)},
        unused={
            "what it does where a key names it": (
                *("litellm_params.*", "guardrail_info", "team_id", "status"),
                *("submitted_at", "reviewed_at", *_WHEN),
            ),
        },
        documents=frozenset({"litellm_params"}),
    ),
    "LiteLLM_PolicyAttachmentTable": TableColumns(
        imported={"its id": ("attachment_id",)},
        closes={
            "checks of what is asked and answered": (
                *("policy_name", "scope", "teams", "keys", "models", "tags", "is_default"),
            ),
        },
        unused={"order and times": ("priority", *_WHEN)},
    ),
    "LiteLLM_EndUserTable": TableColumns(
        imported={"its id": ("user_id",)},
        closes={
            "what a customer of a customer may": (
                *("budget_id", "blocked", "allowed_model_region", "models"),
                "object_permission_id",
            ),
        },
        unused={"figures and names": ("alias", "spend", "default_model")},
    ),
    "LiteLLM_TagTable": TableColumns(
        imported={"its name": ("tag_name",)},
        closes={"what requests with a label may": ("budget_id", "models")},
        unused={"figures and texts": ("description", "model_info", "spend", *_WHEN)},
    ),
    "LiteLLM_ModelAccessGroupBudgetTable": TableColumns(
        imported={"its name": ("access_group_name",)},
        closes={"the budget of a group of models": ("budget_id",)},
        unused={"figures and times": ("spend", *_WHEN)},
    ),
    "LiteLLM_ToolTable": TableColumns(
        imported={"its name": ("tool_id", "tool_name")},
        closes={"tools that no request may have": ("input_policy (blocked)",)},
        unused={
            "figures and origins": (
                *("origin", "input_policy", "output_policy", "call_count", "assignments"),
                *("key_hash", "team_id", "key_alias", "user_agent", "last_used_at", *_WHEN),
            ),
        },
    ),
}
"""Tables that restrict everybody's requests. A row with a restriction closes every organisation."""

OTHER_TABLES: Final[Reasons] = {
    "usage and figures of the past": (
        *("LiteLLM_SpendLogs", "LiteLLM_Daily*", "LiteLLM_ErrorLogs", "LiteLLM_AuditLog"),
        *("LiteLLM_HealthCheckTable", "LiteLLM_BudgetWindowSpend", "LiteLLM_SpendLog*"),
        *("LiteLLM_TelemetryReport", "LiteLLM_AutoRouter*", "LiteLLM_ShadowEval*"),
        "LiteLLM_AdaptiveRouter*",
    ),
    "what ended there": ("LiteLLM_Deleted*", "LiteLLM_Deprecated*", "LiteLLM_Retired*"),
    "restricts keys that name it, which are closed": (
        *("LiteLLM_ProjectTable", "LiteLLM_AgentsTable", "LiteLLM_PolicyTable"),
        *("LiteLLM_AccessGroupTable", "LiteLLM_AgentIdentity"),
    ),
    "ways to sign in, and keys of people, which are not opened here": (
        *("LiteLLM_JWTKeyMapping", "LiteLLM_SSO*", "LiteLLM_InvitationLink"),
        *("LiteLLM_VerifiedSubject", "LiteLLM_UserProviderCredentials"),
    ),
    "keys to providers: channels that name one are closed": ("LiteLLM_CredentialsTable",),
    "tools, files and programs that are not here": (
        *("LiteLLM_MCP*", "LiteLLM_Managed*", "LiteLLM_SearchToolsTable", "LiteLLM_Skill*"),
        *("LiteLLM_ClaudeCode*", "LiteLLM_MemoryTable", "LiteLLM_Workflow*", "LiteLLM_Lens*"),
        *("LiteLLM_PromptTable", "LiteLLM_BackgroundInteractionSettlement"),
    ),
    "state of the program itself": (
        *("LiteLLM_CronJob", "LiteLLM_ProxyWorkerHeartbeat", "LiteLLM_UISettings"),
        *("LiteLLM_CacheConfig", "LiteLLM_ConfigOverrides", "LiteLLM_UserNotifications"),
        *("LiteLLM_SubscriptionAccountTable", "_prisma_migrations", "LiteLLM_PTU*"),
    ),
}
