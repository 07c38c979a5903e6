"""The Flower ClientApp: which actions a party answers.

Nothing heavy is imported here, and a protocol's module only when its first message comes: in deployment Flower starts
a fresh process for every message.
"""

from collections.abc import Callable

from flwr.app import Context, Message
from flwr.clientapp import ClientApp

app = ClientApp()


def serve(
    protocol: str,
    *,
    query: tuple[str, ...] = (),
    train: tuple[str, ...] = (),
    evaluate: tuple[str, ...] = (),
) -> None:
    """Answer the action `<protocol>_<name>` of each kind by the function `name` of `clients/<protocol>.py`."""
    for register, actions in ((app.query, query), (app.train, train), (app.evaluate, evaluate)):
        for action in actions:
            register(f"{protocol}_{action}")(_handler(protocol, action))


def _handler(protocol: str, action: str) -> Callable[[Message, Context], Message]:
    def handle(message: Message, context: Context) -> Message:
        from clients.session import answer

        return answer(protocol, action, message, context)

    return handle


serve("handshake", query=("describe",))
serve("alignment", train=("blind", "raise_points", "match", "order"))
serve("splits", train=("assign",))
serve("network", train=("start", "forward", "backward", "finish"), evaluate=("embed", "score"))
serve(
    "boosting",
    train=("start", "begin", "grow", "add_up", "split", "finish"),
    evaluate=("outcomes", "score"),
)
serve(
    "scorecard",
    train=("start", "begin", "count", "group", "gradient", "open_sums", "step", "solve", "finish"),
    evaluate=("points", "score"),
)
serve("scoring", train=("prepare",), evaluate=("contribute", "answer"))
