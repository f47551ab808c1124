-- Rows that restrict, for the end of litellm.sql.
INSERT INTO public."LiteLLM_TeamTable" (team_id, team_alias, organization_id, models, metadata,
    members_with_roles) VALUES
  ('team-own', 'Own', 'org-acme', '{}', '{"team_member_budget_id": "b-member"}',
   '[{"role": "user", "user_id": "u-cy"}, {"role": "user", "user_id": "u-di"}]');
INSERT INTO public."LiteLLM_ProxyModelTable" (model_id, model_name, litellm_params, model_info) VALUES
  ('m-own', 'model_name_team-own_1', '{"model": "openai/gpt-4o", "api_key": "sk-of-the-team"}',
   '{"team_id": "team-own", "team_public_model_name": "our-own"}'),
  ('m-live', 'model_name_team-own_2', '{"model": "openai/gpt-4o-mini", "api_key": "sk-upstream-one",
   "api_base": "FAKE_URL", "input_cost_per_token": 1e-06, "output_cost_per_token": 2e-06}',
   '{"team_id": "team-own", "team_public_model_name": "live-of-the-team"}'),
  ('m-new', 'brand-new', '{"model": "openai/never-heard-of", "api_key": "sk-x"}', '{}'),
  ('m-map', 'mapped', '{"model": "openai/in-the-map", "api_key": "sk-x"}', '{}');
INSERT INTO public."LiteLLM_BudgetTable" (budget_id, max_budget, budget_duration, budget_reset_at) VALUES
  ('b-member', 10, '30d', '2199-12-01 00:00:00');
INSERT INTO public."LiteLLM_UserTable" (user_id, user_email, teams, models, spend) VALUES
  ('u-cy', 'cy@example.org', '{team-own}', '{}', 0), ('u-di', 'di@example.org', '{team-own}', '{}', 0);
INSERT INTO public."LiteLLM_TeamMembership" (user_id, team_id, spend, budget_id) VALUES
  ('u-cy', 'team-own', 2.5, NULL);
INSERT INTO public."LiteLLM_VerificationToken" (token, key_alias, user_id, team_id, models, metadata,
    aliases, spend, max_budget, budget_duration, budget_reset_at) VALUES
  ('aca09ee147d1d86b94bf231f36c078e2850caf7506cdb03bc8622322d5007b6b', 'cy', 'u-cy', 'team-own', '{}',
   '{"tags": ["x"]}', '{}', 1.5, 4, '1d', '2199-12-01 00:00:00'),
  ('bbbbbbbbbbbbbbbb0000000000000000000000000000000000000000000000bb', 'guarded', NULL, 'team-own',
   '{}', '{"guardrails": ["pii"]}', '{}', 0, NULL, NULL, NULL),
  ('cccccccccccccccc0000000000000000000000000000000000000000000000cc', 'per model', NULL, 'team-own',
   '{}', '{"model_rpm_limit": {"our-own": 1}}', '{}', 0, NULL, NULL, NULL),
  ('dddddddddddddddd0000000000000000000000000000000000000000000000dd', 'alias', NULL, 'team-own', '{}',
   '{}', '{"gpt-4": "our-own"}', 0, NULL, NULL, NULL),
  ('eeeeeeeeeeeeeeee0000000000000000000000000000000000000000000000ee', 'ended window', NULL,
   'team-own', '{}', '{}', '{}', 3, 4, '1d', '2020-01-01 00:00:00');
