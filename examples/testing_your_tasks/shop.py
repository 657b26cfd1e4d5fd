from pynenc import Pynenc

app = Pynenc(app_id="shop")


class Bank:
    """Stands for a service that is sometimes away."""

    failures = 0

    @classmethod
    def charge(cls, order: int) -> str:
        if cls.failures > 0:
            cls.failures -= 1
            raise ConnectionError("the bank does not answer")
        return f"receipt {order}"


@app.task(max_retries=3, retry_for=(ConnectionError,), retry_delay=60.0)
def charge(order: int) -> str:
    return Bank.charge(order)


@app.task
def send_mail(to: str, text: str) -> None:
    print(f"to {to}: {text}")


@app.task
def checkout(order: int, customer: str) -> str:
    receipt = charge(order).result
    send_mail(to=customer, text=receipt)
    return receipt
