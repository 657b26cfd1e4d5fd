"""Ways to a server: TLS that is verified, services named in a file, and errors that say what is wrong with them."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from pynenc.backends.postgresql.location import DURABILITIES
from pynenc.composition import open_backend
from pynenc.errors import ConfigurationError
from pynenc.io import run
from pynenc.model.ids import new_invocation_id
from pynenc.model.records import Submission
from pynenc.ports.backend import Backend, Finding
from tests.private_servers.postgresql import PASSWORD, ROLE, server_account
from tests.servers import PostgresServer


class Papers:
    """Self-made certificates: those of the server and, as `other`, those of somebody else."""

    def __init__(self, folder: Path) -> None:
        self.certificate, self.key = _made(folder, "server", "localhost")
        self.other, _ = _made(folder, "other", "localhost")


def _made(folder: Path, name: str, host: str) -> tuple[Path, Path]:
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("no openssl")
    certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
    command = [program, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", f"/CN={host}", "-addext", f"subjectAltName=DNS:{host}"]
    subprocess.run([*command, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    key.chmod(0o600)
    return certificate, key


@pytest.fixture(scope="module")
def papers() -> Iterator[Papers]:
    folder = Path(tempfile.mkdtemp(prefix="pynenc-test-papers-", dir="/tmp"))
    folder.chmod(0o711)
    made = Papers(folder)
    account = server_account()
    if account is not None:
        shutil.chown(made.key, account)
    yield made
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def server(papers: Papers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    settings = {"ssl": "on", "ssl_cert_file": str(papers.certificate), "ssl_key_file": str(papers.key)}
    with PostgresServer(tmp_path_factory.mktemp("postgresql"), settings=settings) as running:
        yield running


@pytest.fixture(scope="module")
def plain_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    with PostgresServer(tmp_path_factory.mktemp("plain"), settings={"synchronous_commit": "off"}) as running:
        yield running


def submit(backend: Backend) -> None:
    run(backend.orchestrator.submit([Submission(invocation_id=new_invocation_id(), task_id="t", arguments=b"")]))


def refusal_of(url: str) -> str:
    """Return what somebody who submits there is told; the error must come at once, not after many attempts."""
    backend = open_backend(url)
    try:
        with pytest.raises(ConfigurationError) as caught:
            submit(backend)
    finally:
        backend.close()
    assert PASSWORD not in str(caught.value)
    return str(caught.value)


def test_a_verified_server_is_used_over_tls_by_every_connection(server: PostgresServer, papers: Papers) -> None:
    url = server.url.replace("127.0.0.1", "localhost")
    backend = open_backend(f"{url}?sslmode=verify-full&sslrootcert={papers.certificate}", app_id="safe")
    bell = backend.orchestrator.doorbell()

    submit(backend)

    with psycopg.connect(server.url, sslmode="disable") as admin:
        protected = admin.execute(
            "SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) "
            "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        ).fetchall()
    bell.close()
    backend.close()
    assert protected
    assert set(protected) == {(True,)}


def test_a_server_that_another_root_does_not_vouch_for_is_refused(server: PostgresServer, papers: Papers) -> None:
    url = server.url.replace("127.0.0.1", "localhost")

    told = refusal_of(f"{url}?sslmode=verify-full&sslrootcert={papers.other}")

    assert "no trusted connection" in told
    assert "certificate verify failed" in told
    assert "sslrootcert" in told


def test_a_certificate_for_another_host_is_refused_only_where_names_are_verified(
    server: PostgresServer, papers: Papers
) -> None:
    told = refusal_of(f"{server.url}?sslmode=verify-full&sslrootcert={papers.certificate}")
    backend = open_backend(f"{server.url}?sslmode=verify-ca&sslrootcert={papers.certificate}")

    submit(backend)
    backend.close()

    assert "127.0.0.1" in told
    assert "no trusted connection" in told


def test_a_root_file_that_is_missing_is_named(server: PostgresServer) -> None:
    told = refusal_of(f"{server.url}?sslmode=verify-full&sslrootcert=/no/such/root.pem")

    assert "/no/such/root.pem" in told


def test_a_server_without_tls_is_refused_where_tls_is_required(plain_server: PostgresServer) -> None:
    told = refusal_of(f"{plain_server.url}?sslmode=require")

    assert "does not support SSL" in told


@pytest.mark.parametrize("form", ["postgresql://?service=tasks", "postgresql:///?service=tasks"])
def test_a_service_of_a_file_says_where_the_server_is(
    plain_server: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    lines = ["[tasks]", "host=127.0.0.1", f"port={plain_server.port}", "dbname=pynenc", f"user={ROLE}"]
    (tmp_path / "services.conf").write_text("\n".join([*lines, f"password={PASSWORD}", ""]), encoding="ascii")
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "services.conf"))

    backend = open_backend(form, app_id="served")
    before = run(backend.state_backend.count())
    submit(backend)
    after = run(backend.state_backend.count())
    backend.close()

    assert after == before + 1
    assert backend.url == "postgresql://tasks/"


def test_a_service_that_no_file_defines_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "services.conf").write_text("[other]\nhost=127.0.0.1\n", encoding="ascii")
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "services.conf"))
    undefined = refusal_of("postgresql://?service=tasks")
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "nowhere.conf"))
    nowhere = refusal_of("postgresql://?service=tasks")

    assert 'definition of service "tasks" not found' in undefined
    assert "PGSERVICEFILE" in undefined
    assert "nowhere.conf" in nowhere


def findings_of(url: str) -> dict[str, Finding]:
    backend = open_backend(url)
    try:
        return {each.subject: each for each in run(backend.diagnose())}
    finally:
        backend.close()


@pytest.mark.parametrize("durability", DURABILITIES)
def test_doctor_names_the_level_and_finds_that_commits_wait_for_it(
    plain_server: PostgresServer, durability: str
) -> None:
    found = findings_of(f"{plain_server.url}?durability={durability}")

    assert f"synchronous_commit={DURABILITIES[durability]}" in found["durability"].detail
    assert "synchronous_commit" not in found


@pytest.mark.parametrize(("durability", "is_kept"), [("normal", True), ("full", False), ("replicated", False)])
def test_doctor_finds_that_commits_wait_for_less_behind_a_pooler(
    plain_server: PostgresServer, durability: str, is_kept: bool
) -> None:
    found = findings_of(f"{plain_server.url}?durability={durability}&pgbouncer=transaction")

    assert ("synchronous_commit" not in found) is is_kept
    if not is_kept:
        assert found["synchronous_commit"].level == "error"
        assert "synchronous_commit=off" in found["synchronous_commit"].detail
