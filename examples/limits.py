"""How many at once, in which order, and which calls are one and the same."""

import threading
import time

from pynenc import ConcurrencyControlType, Limit, Pynenc

app = Pynenc("memory://")
db = Limit("db", 2)
inside = threading.BoundedSemaphore(2)
orders: dict[str, list[int]] = {}


@app.task(limits=db)
def read(table: str) -> str:
    with_room = inside.acquire(blocking=False)  # would fail if a third one came in
    time.sleep(0.01)
    inside.release()
    return f"{table}: {'had room' if with_room else 'too many'}"


@app.task(ordering_key="customer")
def update(customer: str, version: int) -> None:
    orders.setdefault(customer, []).append(version)


@app.task(registration_concurrency=ConcurrencyControlType.KEYS, key_arguments=("report",))
def refresh(report: str, asked_by: str) -> str:
    return f"{report} for {asked_by}"


if __name__ == "__main__":
    asked = [refresh("sales", who) for who in ("ann", "bob", "cho")]
    with app.running():
        print({line.split(": ")[1] for line in read.map(["users", "orders", "carts", "items"]).results})
        updates = [update(customer, version) for version in (1, 2, 3) for customer in ("acme", "globex")]
        for each in updates:
            each.wait()
        print(orders["acme"], orders["globex"])
        print(len({each.invocation_id for each in asked}), asked[2].result)
