"""Every command, run as a user runs it: in processes of their own on one SQLite file."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Folder

pytestmark = pytest.mark.timeout(180)


def test_a_script_submits_and_a_runner_of_the_same_file_runs(folder: Folder) -> None:
    """Tasks in `__main__` work across processes."""
    submitted = folder._run("shop.py").stdout.strip()

    assert "no runner listens on queue 'default'" in folder.pynenc("why", submitted)
    folder.start_runner("--processes", "1")
    folder.wait(submitted)

    assert folder.json("invocations", "show", submitted)["status"] == "success"
    assert "succeeded at" in folder.pynenc("why", submitted)


@pytest.mark.parametrize("kind", ["thread", "process", "async"])
def test_each_kind_of_runner_drains_on_sigterm(folder: Folder, kind: str) -> None:
    submitted = folder.submit("add(1, 2)")
    runner = folder.start_runner("--runner", kind)
    folder.wait(submitted)

    runner.terminate()
    said, _ = runner.communicate(timeout=60)

    assert runner.returncode == 0
    assert "is done: 1 succeeded" in said


def test_metrics_are_printed_without_a_runner(folder: Folder) -> None:
    folder.submit("mail('a')")

    assert 'pynenc_queue_depth{app="pynenc",queue="mail",state="ready"} 1.0' in folder.pynenc("metrics").splitlines()
    assert [(row["queue"], row["ready"]) for row in folder.json("metrics")] == [("mail", 1)]


def test_listing_filters_and_pages(folder: Folder) -> None:
    ids = [folder.submit("add(1, 2)"), folder.submit("mail('a')"), folder.submit("add(3, 4)")]

    assert [row["invocation_id"] for row in folder.json("invocations", "list")] == ids[::-1]
    assert [row["queue"] for row in folder.json("invocations", "list", "--queue", "mail")] == ["mail"]
    assert len(folder.json("invocations", "list", "--task", "shop.add")) == 2
    page = folder.json("invocations", "list", "--before", ids[1])
    assert [row["invocation_id"] for row in page] == ids[:1]
    assert folder.json("invocations", "list", "--status", "success") == []
    assert ids[0] in folder.pynenc("invocations", "list")


def test_show_tells_history_and_error(folder: Folder) -> None:
    failing = folder.submit("fail()")
    folder.start_runner("--runner", "thread")
    folder.wait(failing)

    shown = folder.json("invocations", "show", failing)

    assert shown["status"] == "failed"
    assert "broken by design" in shown["error"]
    assert shown["history"][0]["status"] == "registered"
    assert "broken by design" in folder.pynenc("invocations", "show", failing)


def test_cancel_and_retry(folder: Folder) -> None:
    submitted = folder.submit("add(1, 2)")
    unknown = "0192f0c1-0000-7000-8000-000000000000"

    assert folder.json("invocations", "cancel", submitted)[0]["verdict"] == "cancelled"
    assert "cancelled from the command line" in folder.pynenc("why", submitted)
    folder.pynenc("invocations", "cancel", unknown, code=4)
    assert folder.json("invocations", "retry", submitted) == {"requeued": [submitted], "not_ended": []}
    assert folder.json("invocations", "show", submitted)["status"] == "registered"
    folder.json("invocations", "retry", submitted, code=1)


def test_tail_follows_one_invocation_to_its_end(folder: Folder) -> None:
    submitted = folder.submit("add(1, 2)")
    folder.start_runner("--runner", "thread")

    assert "success" in folder.pynenc("invocations", "tail", submitted).splitlines()[-1]


def test_queues_pause_and_resume(folder: Folder) -> None:
    folder.submit("mail('a')")

    folder.pynenc("pause", "mail", "--by", "anna", "--reason", "provider is down")
    (paused,) = folder.json("queues")
    listed = folder.pynenc("queues")
    folder.pynenc("resume", "mail")
    (resumed,) = folder.json("queues")

    assert (paused["queue"], paused["ready"], paused["paused"]) == ("mail", 1, True)
    assert (paused["paused_by"], paused["pause_reason"]) == ("anna", "provider is down")
    assert "anna" in listed
    assert (resumed["paused"], resumed["paused_by"], resumed["paused_s"]) == (False, None, None)


def test_purge_asks_before_it_destroys(folder: Folder) -> None:
    kept = folder.submit("add(1, 2)")
    cancelled = folder.submit("add(3, 4)")
    folder.pynenc("invocations", "cancel", cancelled)

    assert "add --yes" in folder.pynenc("purge", code=2)
    assert folder.json("purge", "--final-only", "--older-than", "1", "--yes") == {"purged": 0}
    assert folder.json("purge", "--final-only", "--yes") == {"purged": 1}
    assert [row["invocation_id"] for row in folder.json("invocations", "list")] == [kept]
    assert folder.json("purge", "--yes") == {"purged": 1}


def test_doctor_finds_what_is_wrong(folder: Folder) -> None:
    folder.submit("mail('a')")

    report = folder.json("doctor")
    subjects = {row["subject"]: row["level"] for row in report["findings"]}

    assert subjects["runners"] == "warning"
    assert subjects["queue mail"] == "warning"
    (folder.path / ".pynenc" / "pynenc.db").write_bytes(b"not a database" * 1_000)
    assert "error" in folder.pynenc("doctor", code=None).lower()


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1/0", "postgresql://127.0.0.1:1/shop"])
def test_doctor_reports_a_server_that_does_not_answer(folder: Folder, url: str) -> None:
    (folder.path / "pyproject.toml").write_text(f'[tool.pynenc]\nurl = "{url}?call_timeout_s=0.2"\n')

    report = folder.json("doctor", code=1)

    assert report["healthy"] is False
    assert [row["subject"] for row in report["findings"] if row["level"] == "error"] == ["server"]
    assert "refused" in report["findings"][-1]["detail"].lower()


def test_configuration_is_shown_with_its_origin(folder: Folder) -> None:
    (folder.path / "pyproject.toml").write_text("[tool.pynenc]\nlease_seconds = 20\n")

    shown = folder.json("show_config")

    assert shown["lease_seconds"]["value"] == 20
    assert "pyproject.toml" in shown["lease_seconds"]["origin"]
    assert shown["max_crashes"]["origin"] == "default"
    assert "lease_seconds" in folder.json("runner", "show_config")
    assert "app_id" not in folder.json("runner", "show_config")


def test_run_gives_a_script_a_runner(folder: Folder) -> None:
    (folder.path / "main.py").write_text(
        "from pynenc import Pynenc\n"
        "app = Pynenc(app_id='main')\n"
        "@app.task\n"
        "def add(x, y):\n"
        "    return x + y\n"
        "if __name__ == '__main__':\n"
        "    print('result', add(1, 2).result)\n"
    )

    assert "result 3" in folder.pynenc("run", "main.py")


def test_the_life_of_an_invocation_is_drawn(folder: Folder) -> None:
    assert "REGISTERED" in folder.pynenc("status", "render").upper()
    assert folder.pynenc("status", "render", "--format", "svg").lstrip().startswith("<svg")


def test_bench_measures_this_machine(folder: Folder) -> None:
    figures = folder.json("bench", "--tasks", "200", "--processes", "1")

    rates = [value for name, value in figures.items() if name.endswith("_per_s")]
    assert len(rates) == 3
    assert all(rate > 0 for rate in rates)


def test_dev_shows_what_happens(folder: Folder) -> None:
    submitted = folder.submit("add(1, 2)")

    dev = folder.start("dev", "--json", "--interval", "0.1")
    assert dev.stdout is not None

    for line in dev.stdout:
        if submitted in line and "success" in line:
            break

    dev.terminate()
    dev.communicate(timeout=60)
    assert submitted in line


@pytest.mark.parametrize("command", ["monitor"])
def test_what_is_not_there_yet_is_refused_by_name(folder: Folder, command: str) -> None:
    assert f"pynenc {command} is not available in this release" in folder.pynenc(command, "--port", "1", code=2)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("why", "not-an-id"), 2, "is not an invocation id"),
        (("why", "0192f0c1-0000-7000-8000-000000000000"), 4, "no invocation has the id"),
        (("--app", "nowhere", "queues"), 2, "--app nowhere: there is no such module"),
        (("--app", "shop:other", "queues"), 2, "has no app 'other'"),
        (("--app", "missing.py", "queues"), 2, "there is no such file"),
        (("runner", "start", "--runner", "Rocket"), 2, "is no runner"),
        (("runner", "start", "--processes", "3:2"), 2, "the first no more than the second"),
        (("runner", "start", "--processes", "some"), 2, "as in 2:8"),
        (("runner", "start", "--mode", "threads"), 2, "--mode is for --runner hybrid"),
        (("runner", "start", "--queues", "mail:none"), 2, "mail:2"),
    ],
)
def test_wrong_usage_is_one_clear_line_and_a_documented_code(
    folder: Folder, arguments: tuple[str, ...], code: int, said: str
) -> None:
    printed = folder.pynenc(*arguments, code=code)

    assert said in printed
    assert "Traceback" not in printed


@pytest.mark.parametrize("location", ["shop", "shop.app", "shop:app", "shop.py", "shop.py:app"])
def test_every_way_to_name_an_app(folder: Folder, location: str) -> None:
    assert folder.json("--app", location, "queues") == []


def test_a_folder_without_or_with_several_apps_says_what_to_write(folder: Folder) -> None:
    (folder.path / "other.py").write_text("from pynenc import Pynenc\nother = Pynenc(app_id='other')\n")
    assert "other.py, shop.py" in folder.pynenc("queues", code=2)

    (folder.path / "other.py").unlink()
    (folder.path / "shop.py").write_text("x = 1\n")
    assert "no file in this folder makes an app" in folder.pynenc("queues", code=2)


def test_an_app_in_a_package_is_found(folder: Folder) -> None:
    (folder.path / "shop.py").unlink()
    package = folder.path / "store"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "tasks.py").write_text("from pynenc import Pynenc\napp = Pynenc(app_id='store')\n")

    assert folder.json("queues") == []


def test_recorded_work_is_played_under_another_scheduler(folder: Folder) -> None:
    ids = [folder.submit(f"add({number}, 1)") for number in range(3)] + [folder.submit("mail('a')")]
    assert folder.json("simulate", "--scheduler", "lifo", code=1)["tasks"] == []
    folder.start_runner("--runner", "thread")
    for each in ids:
        folder.wait(each)

    played = folder.json("simulate", "--scheduler", "mail=lifo, *=priority", "--slots", "1")

    assert (played["slots"], played["played"]) == (1, 4)
    assert [(row["task_id"], row["number"]) for row in played["tasks"]] == [("shop.add", 3), ("shop.mail", 1)]
    assert all(row["p50_s"] <= row["p95_s"] <= row["max_s"] for row in played["tasks"])
    assert "shop.add" in folder.pynenc("simulate", "--scheduler", "shortest", "--queue", "default")
    assert "'fancy' is no scheduler" in folder.pynenc("simulate", "--scheduler", "fancy", code=2)


def test_dead_letters_are_listed_shown_requeued_changed_and_discarded(folder: Folder) -> None:
    ids = [folder.submit("fail()"), folder.submit("fail()")]
    folder.start_runner("--runner", "thread")
    for each in ids:
        folder.wait(each)

    rows = folder.json("dead", "list", "--queue", "default", "--reason", "design")
    assert sorted(row["invocation_id"] for row in rows) == sorted(ids)
    assert {(row["status"], row["attempts"], row["reason"]) for row in rows} == {
        ("failed", 1, "ValueError: broken by design")
    }
    assert "broken by design" in folder.pynenc("dead", "list")
    assert folder.json("dead", "list", "--older-than", "1") == []
    assert folder.json("dead", "show", ids[0])["reason"] == "ValueError: broken by design"
    assert "has no parameter" in folder.pynenc("dead", "requeue", ids[0], "--set", "x=1", code=2)
    assert "add --yes" in folder.pynenc("dead", "discard", "--all", code=2)
    assert "say which" in folder.pynenc("dead", "discard", code=2)
    assert folder.json("dead", "discard", ids[0]) == {"discarded": 1}
    assert folder.json("dead", "requeue", "--task", "shop.fail", "--yes") == {"requeued": 1}


def test_invocations_are_cancelled_by_what_they_are(folder: Folder) -> None:
    for _ in range(3):
        folder.submit("mail('a')")
    other = folder.submit("add(1, 2)")

    assert "add --yes" in folder.pynenc("invocations", "cancel", "--queue", "mail", code=2)
    assert "give IDs, or options" in folder.pynenc("invocations", "cancel", code=2)
    assert folder.json("invocations", "cancel", "--queue", "mail", "--status", "registered", "--yes") == {
        "cancelled": 3
    }
    assert folder.json("invocations", "show", other)["status"] == "registered"
