import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from driftd.cli import main
from tests.settings.broken import ALL, ENVIRONMENT, IN_FILES, IN_ONE_KEY, IN_YAML, Broken
from tests.settings.broken_otlp import OTLP
from tests.settings.broken_receivers import RECEIVERS

EVERY = ALL + RECEIVERS + OTLP
NAMES = [broken.name for broken in EVERY]


def lay_out(broken: Broken, folder: Path) -> Path:
    for name, text in broken.files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    config = folder / "driftd.yaml"
    config.write_text(broken.text)
    return config


def is_said(broken: Broken, folder: Path, said: str) -> bool:
    """Whether one line names file, line, key, problem and remedy."""
    file = broken.file if broken.file == "environment" else str(folder / broken.file)
    where = f"{file}:{broken.line}: {broken.key}" if broken.line else f"{file}: {broken.key}"
    problem = broken.problem.replace("{folder}", str(folder))
    return any(
        line.startswith(where) and problem in line.rpartition("; ")[0] and broken.remedy in line
        for line in said.splitlines()
    )


@pytest.mark.parametrize("broken", EVERY, ids=NAMES)
def test_names_file_line_key_and_remedy(broken, tmp_path, monkeypatch, capsys):
    config = lay_out(broken, tmp_path)
    for name, value in broken.environ.items():
        monkeypatch.setenv(name, value)
    assert main(["check", "--config", str(config)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert is_said(broken, tmp_path, err), err


def test_every_kind_has_a_name_of_its_own():
    assert len(set(NAMES)) == len(NAMES) >= 25


@pytest.mark.parametrize(
    "broken", [IN_YAML[0], IN_ONE_KEY[2], IN_FILES[0], ENVIRONMENT[0]], ids=lambda broken: broken.name
)
def test_the_real_command(broken, tmp_path):
    config = lay_out(broken, tmp_path)
    environ = {name: value for name, value in os.environ.items() if not name.startswith("DRIFTD_")}
    program = Path(sys.executable).with_name("driftd")
    ran = subprocess.run(
        [program, "check", "--config", config],
        env=environ | broken.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 2
    assert ran.stdout == ""
    assert is_said(broken, tmp_path, ran.stderr), ran.stderr
    assert "Traceback" not in ran.stderr


def test_missing_file(tmp_path, capsys):
    assert main(["check", "--config", str(tmp_path / "none.yaml")]) == 2
    assert capsys.readouterr().err == (
        f"{tmp_path}/none.yaml: there is no such file; "
        "name one with --config or DRIFTD_CONFIG; config/driftd.yaml is a start\n"
    )


def test_a_folder_is_no_file(tmp_path, capsys):
    assert main(["check", "--config", str(tmp_path)]) == 2
    assert "cannot be read: Is a directory" in capsys.readouterr().err


def test_not_utf_8(tmp_path, capsys):
    config = tmp_path / "driftd.yaml"
    config.write_bytes(b"kafka: {}\nhttp: {listen: '\xff:1'}\n")
    assert main(["check", "--config", str(config)]) == 2
    assert f"{config}:2: not UTF-8 text; save the file as UTF-8" in capsys.readouterr().err


def test_too_large(tmp_path, capsys):
    config = tmp_path / "driftd.yaml"
    config.write_bytes(b"#" * (16 * 1024 * 1024 + 1))
    assert main(["check", "--config", str(config)]) == 2
    assert "larger than 16 MiB" in capsys.readouterr().err


def test_every_fault_in_one_run(tmp_path, capsys):
    """Faults of the text, of a key, between keys and of files, though the first alone would be refused."""
    config = tmp_path / "driftd.yaml"
    config.write_text(
        "http: {listen: 'a:1'}\n"
        "http: {}\n"
        "kafka: {start: newest}\n"
        "monitoring:\n"
        "  window: {every: 7m, min_samples: -1}\n"
        "models:\n"
        "  m:\n"
        "    reference: {file: r.json}\n"
        "    rules: {drift: {warning: 1}}\n"
        "receivers: {ops: {webhook: {url: 'ftp://h'}}}\n"
        "routes: [{match: {team: a}, receiver: ops}, {receiver: nobody}]\n"
    )
    assert main(["check", "--config", str(config)]) == 2
    said = [re.sub(r"^\S+?:(\d+): (\S+): .*", r"\1 \2", line) for line in capsys.readouterr().err.splitlines()]
    assert said == [
        "2 http",
        "3 kafka.start",
        "5 monitoring.window.every",
        "5 monitoring.window.min_samples",
        "8 models.m.reference.file",
        "9 models.m.rules.drift.warning",
        "10 receivers.ops.webhook.url",
        "11 routes[1].receiver",
    ]


def test_what_is_inherited_is_wrong_in_one_place(tmp_path, capsys):
    config = tmp_path / "driftd.yaml"
    config.write_text("monitoring: {window: {every: 7m, length: soon}}\nmodels: {a: {}, b: {}}\n")
    assert main(["check", "--config", str(config)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_nothing_is_wrong(tmp_path, capsys):
    config = tmp_path / "driftd.yaml"
    config.write_text("models: {a: {}, b: {rules: {drift: null}}}\nreceivers: {ops: {webhook: {url: 'http://h'}}}\n")
    assert main(["check", "--config", str(config)]) == 0
    assert capsys.readouterr() == (f"{config}: 2 models, 3 rules, 1 receiver; nothing is wrong\n", "")


def test_the_shipped_settings_are_right(tmp_path, capsys):
    shipped = Path(__file__).parents[2] / "config" / "driftd.yaml"
    assert main(["check", "--config", str(shipped)]) == 0, capsys.readouterr().err


def test_config_from_the_environment(tmp_path, monkeypatch, capsys):
    (tmp_path / "other.yaml").write_text("models: {a: {}}")
    monkeypatch.setenv("DRIFTD_CONFIG", str(tmp_path / "other.yaml"))
    assert main(["check"]) == 0
    assert "other.yaml: 1 model," in capsys.readouterr().out


def test_state_directory_that_cannot_be_written(tmp_path, monkeypatch, capsys):
    config = tmp_path / "driftd.yaml"
    config.write_text("state:\n  directory: .\n")
    monkeypatch.setattr("os.access", lambda *_: False)
    assert main(["check", "--config", str(config)]) == 2
    assert (
        f"{config}:2: state.directory: {tmp_path} cannot be written; let this user write it" in capsys.readouterr().err
    )


def test_steering_characters_are_not_passed_on(tmp_path, capsys):
    config = tmp_path / "driftd.yaml"
    config.write_text('models: {"\\e[31mred": {windw: {}}}\n')
    assert main(["check", "--config", str(config)]) == 2
    err = capsys.readouterr().err
    assert "\x1b" not in err
    assert "\\x1b[31mred" in err


@pytest.mark.parametrize(
    ("text", "environ"),
    [
        ("receivers: {ops: hunter2}", {}),
        ("receivers: {ops: {webhook: {url: hunter2}}}", {}),
        ("receivers: {ops: {webhook: {url: ftp://hunter2/}}}", {}),
        ("receivers: {ops: {webhook: {url: http://h, secret_file: secret}}}", {}),
        ("kafka: {client: {sasl.password: [hunter2]}}", {}),
        ("kafka: {client: {sasl.password: hunter2}}", {}),
        (
            "kafka: {client: {security.protocol: SASL_PLAINTEXT, sasl.mechanism: nonsense}}",
            {"DRIFTD_KAFKA__CLIENT__SASL_PASSWORD": "hunter2"},
        ),
        ("kafka: {client: {security.protocol: SSL}, secret_files: {ssl.key.pem: secret}}", {}),
    ],
)
def test_secrets_are_never_printed(text, environ, tmp_path, monkeypatch, capsys):
    (tmp_path / "secret").write_text("hunter2!")
    config = tmp_path / "driftd.yaml"
    config.write_text(text)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert main(["check", "--config", str(config)]) == 2
    out, err = capsys.readouterr()
    assert err
    assert "hunter2" not in out + err


def reference(folder: Path, name: str, rows: str) -> None:
    """A reference of a small table."""
    from driftd.files import reference_file
    from driftd.files.build import BuildOptions, build

    table = folder / "rows.csv"
    table.write_text(rows)
    built = build([table], BuildOptions("m"))
    reference_file.write(folder / name, built.header, built.reference, built.parts)


AGES = "age,plan\n" + "".join(f"{n % 70},{'ab'[n % 2]}\n" for n in range(500))


def test_signals_that_are_not_in_the_reference(tmp_path, capsys):
    reference(tmp_path, "r.json", AGES)
    config = tmp_path / "driftd.yaml"
    config.write_text(
        "monitoring: {rules: {jump: {on: [somebody, elses]}}}\n"
        "models:\n"
        "  m:\n"
        "    reference: {file: r.json}\n"
        "    rules:\n"
        "      drift: {on: [age, plna, prediction]}\n"
        "    signals: {height: {}}\n"
    )
    assert main(["check", "--config", str(config)]) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first == f"{config}:6: models.m.rules.drift.on: no signal `plna` is in the reference; did you mean `plan`?"
    assert second.startswith(
        f"{config}:7: models.m.signals.height: no signal `height` is in the reference; name a signal"
    )


def test_references_on_two_grids(tmp_path, capsys):
    reference(tmp_path, "a.json", AGES)
    reference(tmp_path, "b.json", AGES.replace("1", "9"))
    config = tmp_path / "driftd.yaml"
    config.write_text("models:\n  m:\n    reference:\n      file: a.json\n      versions: {8: b.json}\n")
    assert main(["check", "--config", str(config)]) == 2
    err = capsys.readouterr().err
    assert (
        "is not on the grid of the model's other references; build it again with `driftd reference build --grid" in err
    )
