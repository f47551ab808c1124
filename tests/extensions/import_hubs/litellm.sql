-- A dump by pg_dump 18 of LiteLLM 1.106.2's database: made by its own migrations
-- (litellm_proxy_extras), with made-up rows; its own code encrypted the models' settings and hashed
-- the keys. The salt key is sk-salt-of-the-tests.
--
-- PostgreSQL database dump
--

-- Dumped from database version 18.4
-- Dumped by pg_dump version 18.4

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET transaction_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

SET default_tablespace = '';

SET default_table_access_method = heap;

CREATE TABLE public."LiteLLM_BudgetTable" (
    budget_id text NOT NULL,
    max_budget double precision,
    soft_budget double precision,
    max_parallel_requests integer,
    tpm_limit bigint,
    rpm_limit bigint,
    model_max_budget jsonb,
    budget_duration text,
    budget_reset_at timestamp(3) without time zone,
    created_at timestamp(3) without time zone DEFAULT CURRENT_TIMESTAMP NOT NULL,
    created_by text NOT NULL,
    updated_at timestamp(3) without time zone DEFAULT CURRENT_TIMESTAMP NOT NULL,
    updated_by text NOT NULL,
    allowed_models text[] DEFAULT ARRAY[]::text[],
    tpd_limit bigint,
    temp_budget_increase double precision,
    temp_budget_expiry timestamp(3) without time zone
);

CREATE TABLE public."LiteLLM_EndUserTable" (
    user_id text NOT NULL,
    alias text,
    spend double precision DEFAULT 0.0 NOT NULL,
    allowed_model_region text,
    default_model text,
    budget_id text,
    blocked boolean DEFAULT false NOT NULL,
    object_permission_id text,
    models text[] DEFAULT ARRAY[]::text[]
);

CREATE TABLE public."LiteLLM_OrganizationMembership" (
    user_id text NOT NULL,
    organization_id text NOT NULL,
    user_role text,
    spend double precision DEFAULT 0.0,
    budget_id text,
    created_at timestamp(3) without time zone DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp(3) without time zone DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE public."LiteLLM_OrganizationTable" (
    organization_id text NOT NULL,
    organization_alias text NOT NULL,
    budget_id text NOT NULL,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    models text[],
    spend double precision DEFAULT 0.0 NOT NULL,
    model_spend jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp(3) without time zone DEFAULT CURRENT_TIMESTAMP NOT NULL,
    created_by text NOT NULL,
    updated_at timestamp(3) without time zone DEFAULT CURRENT_TIMESTAMP NOT NULL,
    updated_by text NOT NULL,
    object_permission_id text
);

CREATE TABLE public."LiteLLM_ProxyModelTable" (
    model_id text NOT NULL,
    model_name text NOT NULL,
    litellm_params jsonb NOT NULL,
    model_info jsonb,
    created_at timestamp(3) without time zone DEFAULT CURRENT_TIMESTAMP NOT NULL,
    created_by text NOT NULL,
    updated_at timestamp(3) without time zone DEFAULT CURRENT_TIMESTAMP NOT NULL,
    updated_by text NOT NULL,
    blocked boolean DEFAULT false NOT NULL
);

CREATE TABLE public."LiteLLM_TeamTable" (
    team_id text NOT NULL,
    team_alias text,
    organization_id text,
    admins text[],
    members text[],
    members_with_roles jsonb DEFAULT '{}'::jsonb NOT NULL,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    max_budget double precision,
    spend double precision DEFAULT 0.0 NOT NULL,
    models text[],
    max_parallel_requests integer,
    tpm_limit bigint,
    rpm_limit bigint,
    budget_duration text,
    budget_reset_at timestamp(3) without time zone,
    blocked boolean DEFAULT false NOT NULL,
    created_at timestamp(3) without time zone DEFAULT CURRENT_TIMESTAMP NOT NULL,
    updated_at timestamp(3) without time zone DEFAULT CURRENT_TIMESTAMP NOT NULL,
    model_spend jsonb DEFAULT '{}'::jsonb NOT NULL,
    model_max_budget jsonb DEFAULT '{}'::jsonb NOT NULL,
    model_id integer,
    team_member_permissions text[] DEFAULT ARRAY[]::text[],
    object_permission_id text,
    router_settings jsonb DEFAULT '{}'::jsonb,
    policies text[] DEFAULT ARRAY[]::text[],
    allow_team_guardrail_config boolean DEFAULT false NOT NULL,
    soft_budget double precision,
    access_group_ids text[] DEFAULT ARRAY[]::text[],
    budget_limits jsonb,
    default_team_member_models text[] DEFAULT ARRAY[]::text[],
    tpd_limit bigint
);

CREATE TABLE public."LiteLLM_UserTable" (
    user_id text NOT NULL,
    user_alias text,
    team_id text,
    sso_user_id text,
    organization_id text,
    password text,
    teams text[] DEFAULT ARRAY[]::text[],
    user_role text,
    max_budget double precision,
    spend double precision DEFAULT 0.0 NOT NULL,
    user_email text,
    models text[],
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    max_parallel_requests integer,
    tpm_limit bigint,
    rpm_limit bigint,
    budget_duration text,
    budget_reset_at timestamp(3) without time zone,
    allowed_cache_controls text[] DEFAULT ARRAY[]::text[],
    model_spend jsonb DEFAULT '{}'::jsonb NOT NULL,
    model_max_budget jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp(3) without time zone DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp(3) without time zone DEFAULT CURRENT_TIMESTAMP,
    object_permission_id text,
    policies text[] DEFAULT ARRAY[]::text[],
    password_reset_required boolean,
    last_breach_check_at timestamp(3) without time zone
);

CREATE TABLE public."LiteLLM_VerificationToken" (
    token text NOT NULL,
    key_name text,
    key_alias text,
    soft_budget_cooldown boolean DEFAULT false NOT NULL,
    spend double precision DEFAULT 0.0 NOT NULL,
    expires timestamp(3) without time zone,
    models text[],
    aliases jsonb DEFAULT '{}'::jsonb NOT NULL,
    config jsonb DEFAULT '{}'::jsonb NOT NULL,
    user_id text,
    team_id text,
    permissions jsonb DEFAULT '{}'::jsonb NOT NULL,
    max_parallel_requests integer,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    blocked boolean,
    tpm_limit bigint,
    rpm_limit bigint,
    max_budget double precision,
    budget_duration text,
    budget_reset_at timestamp(3) without time zone,
    allowed_cache_controls text[] DEFAULT ARRAY[]::text[],
    model_spend jsonb DEFAULT '{}'::jsonb NOT NULL,
    model_max_budget jsonb DEFAULT '{}'::jsonb NOT NULL,
    budget_id text,
    organization_id text,
    created_at timestamp(3) without time zone DEFAULT CURRENT_TIMESTAMP,
    created_by text,
    updated_at timestamp(3) without time zone DEFAULT CURRENT_TIMESTAMP,
    updated_by text,
    allowed_routes text[] DEFAULT ARRAY[]::text[],
    object_permission_id text,
    auto_rotate boolean DEFAULT false,
    key_rotation_at timestamp(3) without time zone,
    last_rotation_at timestamp(3) without time zone,
    rotation_count integer DEFAULT 0,
    rotation_interval text,
    project_id text,
    router_settings jsonb DEFAULT '{}'::jsonb,
    policies text[] DEFAULT ARRAY[]::text[],
    access_group_ids text[] DEFAULT ARRAY[]::text[],
    last_active timestamp(3) without time zone,
    agent_id text,
    budget_limits jsonb,
    budget_fallbacks jsonb DEFAULT '{}'::jsonb NOT NULL,
    key_type text,
    settings_updated_at timestamp(3) without time zone,
    tpd_limit bigint,
    total_spend double precision DEFAULT 0.0 NOT NULL
);

COPY public."LiteLLM_BudgetTable" (budget_id, max_budget, soft_budget, max_parallel_requests, tpm_limit, rpm_limit, model_max_budget, budget_duration, budget_reset_at, created_at, created_by, updated_at, updated_by, allowed_models, tpd_limit, temp_budget_increase, temp_budget_expiry) FROM stdin;
b-acme	100.5	\N	\N	\N	\N	\N	\N	\N	2026-11-01 00:00:00	a	2026-11-01 00:00:00	a	{}	\N	\N	\N
b-day	7.25	\N	\N	\N	\N	\N	1d	\N	2026-11-01 00:00:00	a	2026-11-01 00:00:00	a	{}	\N	\N	\N
b-open	\N	\N	\N	\N	\N	\N	\N	\N	2026-11-01 00:00:00	a	2026-11-01 00:00:00	a	{}	\N	\N	\N
\.

COPY public."LiteLLM_EndUserTable" (user_id, alias, spend, allowed_model_region, default_model, budget_id, blocked, object_permission_id, models) FROM stdin;
end	\N	1	\N	\N	\N	f	\N	{}
\.

COPY public."LiteLLM_OrganizationMembership" (user_id, organization_id, user_role, spend, budget_id, created_at, updated_at) FROM stdin;
u-ann	org-open	org_admin	0	\N	2026-11-01 00:00:00	2026-11-01 00:00:00
\.

COPY public."LiteLLM_OrganizationTable" (organization_id, organization_alias, budget_id, metadata, models, spend, model_spend, created_at, created_by, updated_at, updated_by, object_permission_id) FROM stdin;
org-acme	Acme	b-acme	{}	{}	0.123456789	{}	2026-11-01 00:00:00	a	2026-11-01 00:00:00	a	\N
org-open	Öffen	b-open	{}	{}	3.5	{}	2026-11-01 00:00:00	a	2026-11-01 00:00:00	a	\N
\.

COPY public."LiteLLM_ProxyModelTable" (model_id, model_name, litellm_params, model_info, created_at, created_by, updated_at, updated_by, blocked) FROM stdin;
m-0	house-model	{"model": "WQbSJgfcnJ0kmoGxAm2sMaBTfNKP8fa-at5vNS7xlkG2qDJxlpd6j5-STsoiw2AUUF0K", "api_key": "ejzM9JQV3Ni6pK1wICregaEZ13E-QUa7mzV7GDWzHlkEWD18hFfx1MUUO2udaTJlNpeWzcMdRA==", "api_base": "dpBjwPw_bczsttLNt4y0xL1Bz0bn9y2OmAShnTLYtv7WdUOrf7XZY8HIr0Yx10FU", "input_cost_per_token": 0.00000015, "output_cost_per_token": 0.0000006}	{"db_model": true}	2026-11-01 00:00:00	a	2026-11-01 00:00:00	a	f
m-1	claude-sonnet-4-5	{"model": "EXXM4QAS4mVf5g8IEmLvieU00lueGqh5pzrlzTYmxzIgGyMA1NnvRll_PiKNiU6l9RmaVNE9Zwl3EkDUk4wx46Cj6g==", "api_key": "I09IBteYqrx32he8b74gRqw3Y-8lv4Os1B2YJjBKC1HFXQuIzXz7jGHDkJPYBNYdxJMAT2Oqtm8baIPWS42Xb9Aq_QI="}	{"db_model": true}	2026-11-01 00:00:00	a	2026-11-01 00:00:00	a	f
m-2	claude-v2	{"model": "b_70WiGUtYvUmuAGoQED3_UW-ZLYmWKqFS0WxATI735zVYudt7ran6yc1-gmX0z7SX_EFV0DFT32hoRQ4aaSWr-tqQ==", "aws_region_name": "0Ekq3_JvyjBEPPbxZHEZBLKcAc45Nqa4MM7o9irvsmrBnhoSQQw5wfJKOlLyFLbRww=="}	{"db_model": true}	2026-11-01 00:00:00	a	2026-11-01 00:00:00	a	f
m-3	deepseek-chat	{"rpm": 10, "model": "v2:gcm:X1ZO3WLCaUzE2DF0mIIE9BdqRq3KyrYeTaq2OaooMr5lqQDi1vzwpVSr8lTk10xYS3g=", "api_key": "v2:gcm:rvI4h52AzCeVE6-TlVhixTrdsmjWKtcXxu_3pmypzrJpjK7xR-Pi"}	{"db_model": true}	2026-11-01 00:00:00	a	2026-11-01 00:00:00	a	f
\.

COPY public."LiteLLM_TeamTable" (team_id, team_alias, organization_id, admins, members, members_with_roles, metadata, max_budget, spend, models, max_parallel_requests, tpm_limit, rpm_limit, budget_duration, budget_reset_at, blocked, created_at, updated_at, model_spend, model_max_budget, model_id, team_member_permissions, object_permission_id, router_settings, policies, allow_team_guardrail_config, soft_budget, access_group_ids, budget_limits, default_team_member_models, tpd_limit) FROM stdin;
team-core	Research	org-acme	\N	\N	[{"role": "admin", "user_id": "u-ann", "user_email": null}]	{}	20	5.5	{house-model,gpt-*}	\N	\N	100	\N	\N	f	2026-11-01 00:00:00	2026-11-01 00:00:00	{}	{}	\N	{}	\N	{}	{}	f	\N	{}	\N	{}	\N
team-lost	Blocked	org-acme	\N	\N	{}	{}	\N	0	{}	\N	\N	\N	\N	\N	t	2026-11-01 00:00:00	2026-11-01 00:00:00	{}	{}	\N	{}	\N	{}	{}	f	\N	{}	\N	{}	\N
\.

COPY public."LiteLLM_UserTable" (user_id, user_alias, team_id, sso_user_id, organization_id, password, teams, user_role, max_budget, spend, user_email, models, metadata, max_parallel_requests, tpm_limit, rpm_limit, budget_duration, budget_reset_at, allowed_cache_controls, model_spend, model_max_budget, created_at, updated_at, object_permission_id, policies, password_reset_required, last_breach_check_at) FROM stdin;
u-ann	\N	\N	\N	\N	scrypt:x	{team-core}	internal_user	\N	1	Ann@example.org	{}	{}	\N	\N	\N	\N	\N	{}	{}	{}	2026-11-01 00:00:00	2026-11-01 00:00:00	\N	{}	\N	\N
u-nomail	\N	\N	\N	\N	\N	{}	proxy_admin	\N	0	\N	{}	{}	\N	\N	\N	\N	\N	{}	{}	{}	2026-11-01 00:00:00	2026-11-01 00:00:00	\N	{}	\N	\N
u-bo	\N	\N	\N	\N	\N	{}	internal_user	3	1.25	bo@example.org	{}	{}	\N	\N	\N	\N	\N	{}	{}	{}	2026-11-01 00:00:00	2026-11-01 00:00:00	\N	{}	\N	\N
\.

COPY public."LiteLLM_VerificationToken" (token, key_name, key_alias, soft_budget_cooldown, spend, expires, models, aliases, config, user_id, team_id, permissions, max_parallel_requests, metadata, blocked, tpm_limit, rpm_limit, max_budget, budget_duration, budget_reset_at, allowed_cache_controls, model_spend, model_max_budget, budget_id, organization_id, created_at, created_by, updated_at, updated_by, allowed_routes, object_permission_id, auto_rotate, key_rotation_at, last_rotation_at, rotation_count, rotation_interval, project_id, router_settings, policies, access_group_ids, last_active, agent_id, budget_limits, budget_fallbacks, key_type, settings_updated_at, tpd_limit, total_spend) FROM stdin;
3c5bd9929f5a49cc5af76fe4d3cae7681f4a62f4e2a3f662d340cbcd5bf11c81	sk-...cdef	app	f	0.1	\N	{}	{}	{}	u-ann	team-core	{}	\N	{}	\N	\N	\N	0.7	\N	\N	{}	{}	{}	\N	\N	2026-11-01 00:00:00	\N	2026-11-01 00:00:00	\N	{llm_api_routes}	\N	f	\N	\N	0	\N	\N	{}	{}	{}	\N	\N	\N	{}	\N	\N	\N	0
8b0c20b348b8d8041cbe86fc5baa11f66dfefe0a6fad4b6799d80943815109c7	sk-...6789	\N	f	0	2100-01-01 00:00:00	{all-proxy-models}	{}	{}	u-bo	\N	{}	\N	{"tags": ["x"]}	f	5000	60	\N	\N	\N	{}	{}	{}	b-day	\N	2026-11-01 00:00:00	\N	2026-11-01 00:00:00	\N	{}	\N	f	\N	\N	0	\N	\N	{}	{}	{}	\N	\N	\N	{}	\N	\N	\N	0
e865810b5033d397f2b8e5209d9c9d565e18e4b60e6ab2a1644fd9db29208201	sk-...789a	app	f	0	\N	{}	{}	{}	\N	\N	{}	\N	{}	t	\N	\N	\N	\N	\N	{}	{}	{}	\N	org-acme	2026-11-01 00:00:00	\N	2026-11-01 00:00:00	\N	{}	\N	f	\N	\N	0	\N	\N	{}	{}	{}	\N	\N	\N	{}	\N	\N	\N	0
310e44b3038564321b502bd1d6e1da84b2e6e611963b981668e39c4dae7b584a	sk-...89ab	narrow	f	0	\N	{claude-*,house-model}	{}	{}	\N	team-core	{}	\N	{}	f	\N	\N	\N	\N	\N	{}	{}	{"gpt-4o": {"budget_limit": 1}}	\N	\N	2026-11-01 00:00:00	\N	2026-11-01 00:00:00	\N	{}	\N	f	\N	\N	0	\N	\N	{}	{}	{}	\N	\N	\N	{}	\N	\N	\N	0
\.

--
-- PostgreSQL database dump complete
--

