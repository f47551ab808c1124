from pathlib import Path

import pytest

from config.apply.loading import Loaded, Unresolved, load
from config.apply.yaml_source import FileInvalid, read_yaml

VARIABLES = {"PRESENT": "sk-provider-0123456789", "URL": "http://127.0.0.1:8080/v1", "BAD": "a b"}


def resolve(reference: str) -> str:
    kind, _, name = reference.partition(":")
    if name not in VARIABLES:
        raise Unresolved(f"{kind} {name} is missing")
    return VARIABLES[name]


def problems(text: str) -> list[str]:
    with pytest.raises(FileInvalid) as caught:
        load(text, resolve)
    return [problem.located("f.yaml") for problem in caught.value.problems]


WHOLE = """\
version: 1
settings:
  egress_allow: ["127.0.0.1/32"]
  unpriced_models: reject
channels:
  - name: openai-main
    provider: openai
    keys: ["env:PRESENT", keep]
    models:
      gpt-4o-mini:
      team-default: {upstream: gpt-4o-mini}
      "gpt-5*": {}
    timeouts: {connect: 3, first_content: 0.5}
  - {name: own, provider: openai_compatible, base_url: "env:URL"}
prices:
  - model: gpt-4o-mini
    valid_from: 2026-01-01T00:00:00Z
    meters: {in_text: "0.15", out_text: "0.60"}
    tiers: [{input_over: 200000, mode: marginal, meters: {in_text: "0.30"}}]
organisations:
  - name: acme
    credit: "100.00"
    members: [{email: owner@example.org, role: owner, operator: true}]
    teams:
      - name: core
        keys:
          - {name: ci, secret: "env:PRESENT", models: ["gpt-*"], expires_at: 2030-01-01T00:00:00Z}
"""


def loaded() -> Loaded:
    return load(WHOLE, resolve)


def test_file_is_read_with_its_references() -> None:
    file = loaded()
    assert file.installation.channels[0].models["gpt-4o-mini"].upstream == ""
    assert file.installation.channels[0].timeouts.first_content == 0.5
    assert file.text("channels", 0, "base_url") == "https://api.openai.com/v1"
    assert file.text("channels", 1, "base_url") == "http://127.0.0.1:8080/v1"
    assert file.text("channels", 0, "keys", 0) == VARIABLES["PRESENT"]
    assert file.text("organisations", 0, "teams", 0, "keys", 0, "secret") == VARIABLES["PRESENT"]


# Each row: what the whole file has, what stands there instead, the line and path, what is said.
WRONG = [
    ("version: 1\n", "version: 2\n", "f.yaml:1: version: expected 1, found 2"),
    ("version: 1\n", "", "f.yaml:1: version: this field is missing"),
    (
        "settings:\n",
        "setings:\n",
        "f.yaml:2: setings: unknown field: expected one of version, settings, mail_server, "
        "channels, prices, plans, models, model_rules, aliases, own_key_offers, people, "
        "organisations, sign_up, trial_credit",
    ),
    (
        '"127.0.0.1/32"',
        '"127.0.0.1/8"',
        "f.yaml:3: settings.egress_allow[0]: expected a network such as",
    ),
    (
        "unpriced_models: reject",
        "unpriced_models: refuse",
        "f.yaml:4: settings.unpriced_models: expected 'reject', 'free' or 'alert', found refuse",
    ),
    ("- name: openai-main", "- name: ''", "f.yaml:6: channels[0].name: expected"),
    ("- name: openai-main", "- name: 7", "f.yaml:6: channels[0].name: expected a string"),
    (
        "provider: openai\n",
        "provider: opena\n",
        "f.yaml:7: channels[0].provider: unknown provider 'opena'",
    ),
    ("    provider: openai\n", "", "f.yaml:6: channels[0].provider: this field is missing"),
    (
        '"env:PRESENT", keep',
        '"env:ABSENT"',
        "f.yaml:8: channels[0].keys[0]: env ABSENT is missing",
    ),
    (
        '"env:PRESENT", keep',
        '"file:ABSENT"',
        "f.yaml:8: channels[0].keys[0]: file ABSENT is missing",
    ),
    ('["env:PRESENT", keep]', '["env:BAD"]', "f.yaml:8: channels[0].keys[0]: a provider's key"),
    ('["env:PRESENT", keep]', "keep", "f.yaml:8: channels[0].keys: expected a list"),
    (
        "{upstream: gpt-4o-mini}",
        "{upstreem: x}",
        "f.yaml:11: channels[0].models.team-default.upstreem: unknown field: expected one of "
        "upstream",
    ),
    (
        "{upstream: gpt-4o-mini}",
        "gpt-4o-mini",
        "f.yaml:11: channels[0].models.team-default: expected a mapping of fields, found "
        "gpt-4o-mini",
    ),
    ('"gpt-5*": {}', '"gpt 5": {}', "f.yaml:12: channels[0].models.gpt 5"),
    (
        "connect: 3,",
        "conect: 3,",
        "f.yaml:13: channels[0].timeouts.conect: unknown field: expected one of connect, "
        "first_content, idle, total",
    ),
    (
        "first_content: 0.5",
        "first_content: 0",
        "f.yaml:13: channels[0].timeouts.first_content: expected",
    ),
    ('"env:URL"', '"ftp://x"', "f.yaml:14: channels[1].base_url: the base URL must be http(s)"),
    ('"env:URL"', '"http://a:b@x"', "f.yaml:14: channels[1].base_url: the base URL may not hold"),
    ('"env:URL"', '"env:ABSENT"', "f.yaml:14: channels[1].base_url: env ABSENT is missing"),
    (
        ', base_url: "env:URL"',
        "",
        "f.yaml:14: channels[1].base_url: provider openai_compatible has no address of its own",
    ),
    (
        "name: own",
        "name: openai-main",
        "f.yaml:14: channels[1].name: a channel named 'openai-main' is already defined on line 6",
    ),
    (
        "2026-01-01T00:00:00Z",
        "2026-01-01T00:00:00",
        "f.yaml:17: prices[0].valid_from: expected a time with its zone",
    ),
    ("2026-01-01T00:00:00Z", "soon", "f.yaml:17: prices[0].valid_from: expected a time such as"),
    (
        'in_text: "0.15"',
        "in_text: 0.15",
        "f.yaml:18: prices[0].meters.in_text: expected a decimal in quotes",
    ),
    (
        'in_text: "0.15"',
        'in_txt: "0.15"',
        "f.yaml:18: prices[0].meters: 'in_txt' is not a meter: expected one of",
    ),
    (
        'in_text: "0.15"',
        'in_text: "-1"',
        "f.yaml:18: prices[0].meters: in_text: expected a rate that is not negative",
    ),
    ("mode: marginal", "mode: half", "f.yaml:19: prices[0].tiers[0].mode: expected 'whole' or"),
    (
        'credit: "100.00"',
        "credit: 100.00",
        "f.yaml:22: organisations[0].credit: expected a decimal in quotes",
    ),
    *(
        (
            'credit: "100.00"',
            f"display_currency: {code}",
            "f.yaml:22: organisations[0].display_currency: expected the three letters",
        )
        for code in ("USD", "EURO", "XXQ", "eur")
    ),
    *(
        (
            'credit: "100.00"',
            f'credit: "{amount}"',
            "f.yaml:22: organisations[0].credit: expected an amount above 0",
        )
        for amount in ("-5", "0", "0.00")
    ),
    (
        "role: owner",
        "role: 7",
        "f.yaml:23: organisations[0].members[0].role: expected a string",
    ),
    ("email: owner@example.org", "email: owner", "f.yaml:23: organisations[0].members[0].email"),
    (
        "operator: true",
        "operator: 1",
        "f.yaml:23: organisations[0].members[0].operator: expected true or false, found 1",
    ),
    (
        "operator: true",
        "operator: false",
        "f.yaml:23: organisations[0].members[0].operator: expected true; leave",
    ),
    (
        'secret: "env:PRESENT"',
        'secret: "short"',
        "f.yaml:27: organisations[0].teams[0].keys[0].secret: expected 20 printable ASCII",
    ),
    (
        'secret: "env:PRESENT"',
        'secret: "sk-weir-0123456789012345678901234567890123456789"',
        "f.yaml:27: organisations[0].teams[0].keys[0].secret: a key that begins with sk-weir-",
    ),
    (
        "name: ci,",
        "name: ci, rps: 5,",
        "f.yaml:27: organisations[0].teams[0].keys[0].rps: unknown field",
    ),
    ("version: 1\n", "version: 1\nversion: 1\n", "f.yaml:2: version: this name appears here twice"),
    ("  - name: acme", "  - name: [acme", "not YAML: "),
    (
        "[{email: owner@example.org, role: owner, operator: true}]",
        "&a [*a]",
        "this alias is inside what it names",
    ),
]


@pytest.mark.parametrize(("there", "instead", "text"), WRONG)
def test_each_problem_names_its_line_path_and_expectation(
    there: str, instead: str, text: str
) -> None:
    assert there in WHOLE
    result = problems(WHOLE.replace(there, instead, 1))
    assert any(text in line for line in result), result


def test_all_problems_are_reported_together_in_line_order() -> None:
    text = WHOLE.replace("reject", "never").replace("priority", "x").replace("owner}", "boss}")
    text = text.replace("role: owner", "role: 7").replace("name: ci", "nam: ci")
    lines = [int(line.split(":")[1]) for line in problems(text)]
    assert lines == sorted(lines)
    assert len(lines) >= 3


def test_overlapping_prices_and_equal_secrets_name_the_other_line() -> None:
    two = """\
version: 1
prices:
  - {model: m, valid_from: "2026-01-01T00Z", valid_to: "2026-06-01T00Z", meters: &m {in_text: "1"}}
  - {model: m, valid_from: 2026-05-01T00:00:00Z, meters: *m}
organisations:
  - name: acme
    teams:
      - name: core
        keys:
          - {name: a, secret: "a-secret-of-twenty-characters"}
          - {name: b, secret: "a-secret-of-twenty-characters"}
"""
    assert problems(two) == [
        "f.yaml:4: prices[1].valid_from: the price of line 3 for m is valid until "
        "2026-06-01T00:00:00+00:00: two prices never overlap",
        "f.yaml:11: organisations[0].teams[0].keys[1].secret: the key of line 10 has the same "
        "secret",
    ]


@pytest.mark.parametrize("text", ["", "# nothing\n", "- a\n- b\n", "just text", "1: {2: 3}\n---\n"])
def test_non_mapping_is_rejected(text: str) -> None:
    assert problems(text)


def test_secrets_never_stand_in_a_message() -> None:
    secret = "not-a-usable secret-0123456789"
    text = WHOLE.replace("env:PRESENT", secret)
    assert all(secret not in line for line in problems(text))
    text = WHOLE.replace('["env:PRESENT", keep]', f'{{a: "{secret}"}}')
    assert all(secret not in line for line in problems(text))


def test_merged_and_repeated_parts_keep_their_lines() -> None:
    source = read_yaml("a: &a {x: 1}\nb:\n  <<: *a\n  y: 2\nc: *a\n")
    assert source.data == {"a": {"x": 1}, "b": {"x": 1, "y": 2}, "c": {"x": 1}}
    assert source.line(("b", "y")) == 4
    assert source.line(("c",)) == 5


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("version: 1\n# \x00\n", "f.yaml:2: the file: not YAML: the character U+0000 "),
        ('version: 1\nplans: ["\\0"]\n', "f.yaml:2: plans[0]: a string cannot contain a zero byte"),
        ('version: 1\n"a\\0": 1\n', "f.yaml:2: the file: a string cannot contain a zero byte"),
        ('{"version":\n"\\ud83d"}', "f.yaml:1: version: half of a surrogate pair"),
        ('{"version": 1,\n"\\ude00": 1}', "f.yaml:2: the file: half of a surrogate pair"),
        ('version: 1\nplans: "\\U00110000"\n', "f.yaml:2: the file: not YAML: "),
        ('version: 1\nplans: "\\UFFFFFFFF"\n', "f.yaml:2: the file: not YAML: "),
    ],
)
def test_unstorable_text_names_its_line(text: str, problem: str) -> None:
    (result,) = problems(text)
    assert result.startswith(problem)


def test_invisible_label_is_rejected_at_its_line() -> None:
    """One rule for the tags of keys and for what budgets are for."""
    message = "of 1 to 100 visible characters"
    assert message in problems(WHOLE.replace("models: [", 'tags: ["a\\u200db"], models: ['))[0]
    budgets = 'budgets: [\n{amount: "1", period: day, scope: tag, subject: "a\\u200db"}]'
    (result,) = problems(WHOLE.replace('credit: "100.00"', budgets))
    assert result == (
        "f.yaml:23: organisations[0].budgets[0].subject: expected 1 to 100 visible characters, "
        "no space at an end"
    )


def test_json_surrogate_escapes_are_one_character() -> None:
    assert read_yaml('{"\\ud83d\\ude00": "x\\uD83D\\uDE00"}').data == {"😀": "x😀"}


@pytest.mark.parametrize(
    ("file", "noun"), [("demo.yaml", "organisations"), ("demo-model.yaml", "channels")]
)
def test_start_up_files_are_well_formed(file: str, noun: str) -> None:
    text = (Path(__file__).parents[3] / "stack" / "demo" / file).read_text()
    loaded = load(text, lambda _: "http://127.0.0.1:1/a-key-or-an-address")
    assert getattr(loaded.installation, noun)
