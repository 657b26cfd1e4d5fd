from pynenc import Pynenc

app = Pynenc()


@app.task
def add(x: int, y: int) -> int:
    return x + y


with app.running():
    print(add(1, 2).result)
