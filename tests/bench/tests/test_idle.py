from tests.bench.idle import Use, part_of, table


def test_parts_are_told_by_their_commands() -> None:
    commands = {
        "python -m stack.model.server 4000": "model",
        "python -m stack.processes.gate 9 --app-dir /x config.asgi:application": "web process",
        "python -m celery --app config.celery --quiet worker --pool threads": "worker",
        "/x/bin/postgres -D /data": "Postgres",
        "python -m another": "python -m another",
    }
    assert {command: part_of(command) for command in commands} == commands


def test_cpu_use_is_a_share_and_memory_in_megabytes() -> None:
    used = [Use("worker", 6 * 10**9, 2048.0), Use("all", 12 * 10**9, 10240.0)]
    assert table(used, 600).splitlines()[2:] == ["| worker | 1.00% | 2 |", "| all | 2.00% | 10 |"]
