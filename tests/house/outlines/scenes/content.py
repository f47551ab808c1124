"""Pages of the room content."""

from typing import Final

from accounts.access.actors import SYSTEM
from content.rules import log_rules
from lib.ids import id_text
from tests.house.outlines.scenes.scene import Scene
from tests.isolation.world import World


def _exception(world: World) -> str:
    rule = log_rules.add_rule(SYSTEM, world.acme, scope="model", subject="secret-*", keep="nothing")
    return f"/o/acme/content-log/{id_text(rule.id)}/remove"


SCENES: Final = (
    Scene("rule of the content log that keeps nothing", _exception),
    Scene("new rule of the content log with errors", lambda world: "/o/acme/content-log/new",
          posted={"scope": "model", "subject": "", "keep": "all", "share_percent": "101",
                  "retention_hours": "0", "redact": "x"}),
)  # fmt: skip
