"""The policies that apply to a key's requests."""

from typing import Final

# Whether a policy applies to `key`, a row of accounts_key.
_APPLIES: Final = """
        policy.organisation_id = key.organisation_id AND EXISTS (
            SELECT FROM content_policyassignment assigned
            WHERE assigned.policy_id = policy.id AND (
                assigned.scope = 'organisation'
                OR assigned.scope = 'team' AND assigned.subject = key.team_id::text
                OR assigned.scope = 'key' AND assigned.subject = key.id::text))"""

# A JSON list of `content.guards.guard.GuardRule`, of `key`, a row of accounts_key. Without a policy
# it is empty. All policies that apply count together. `sealed` is the secret of the rule's guard.
RULES_OF_KEY: Final = f"""
    coalesce((
        SELECT jsonb_agg(
            each.rule || jsonb_build_object(
                'policy', policy.id,
                'sealed', coalesce((
                    SELECT encode(secret.sealed, 'base64') FROM content_policysecret secret
                    WHERE secret.policy_id = policy.id AND secret.guard = each.rule ->> 'guard'
                ), ''))
            ORDER BY policy.id, each.n)
        FROM content_policy policy,
             jsonb_array_elements(policy.rules) WITH ORDINALITY AS each(rule, n)
        WHERE {_APPLIES}
    ), '[]'::jsonb)
"""  # noqa: S608 - only constants are put in
# A JSON list of the fields of `content.policies.limits.read_limits`, without policies that limit
# nothing.
LIMITS_OF_KEY: Final = f"""
    coalesce((
        SELECT json_agg(
            json_build_array(policy.name, policy.model_patterns, policy.networks,
                             policy.retention_hours)
            ORDER BY policy.id)
        FROM content_policy policy
        WHERE {_APPLIES}
          AND (policy.model_patterns <> '{{}}' OR policy.networks <> '{{}}'
               OR policy.retention_hours IS NOT NULL)
    ), '[]'::json)
"""  # noqa: S608 - only constants are put in
