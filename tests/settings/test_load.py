from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from driftd.core import spec
from driftd.core.spec import DAY, HOUR, MINUTE
from driftd.settings.fault import Fault, SettingsError
from driftd.settings.load import load

EXAMPLE = (Path(__file__).parent / "interfaces.yaml").read_text()
SIGNING = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture
def given(tmp_path):
    """Settings out of a text, variables and further files."""

    def load_it(text="", environ=None, **files):
        for name, content in files.items():
            file = tmp_path / name
            file.parent.mkdir(exist_ok=True)
            file.write_text(content)
        (tmp_path / "driftd.yaml").write_text(text)
        return load(tmp_path / "driftd.yaml", environ or {})

    return load_it


def refused(given: Callable[..., object], text: str, environ: dict[str, str] | None = None) -> tuple[Fault, ...]:
    with pytest.raises(SettingsError) as caught:
        given(text, environ)
    return caught.value.faults


def test_an_empty_file_means_the_core_s_defaults(given):
    found = given("").spec()
    assert found.default == spec.Model("")
    assert found == spec.Spec()


def test_the_example_of_the_interfaces(given, tmp_path):
    settings = given(EXAMPLE, hook=SIGNING + "\n")
    churn = spec.Model(
        "churn",
        reference=spec.ReferenceFiles(str(tmp_path / "references/churn-7.json")),
        labels={"team": "risk", "runbook": "https://..."},
    )
    assert settings.spec() == spec.Spec("driftd", {"churn": churn}, spec.Model(""), spec.Limits())
    assert settings.kafka.bootstrap_servers == "localhost:9092"
    assert settings.kafka.topics.of("prediction") == ("predictions",)
    assert settings.state.directory == Path("/var/lib/driftd")
    assert settings.state.commit_every == 10_000
    assert (settings.http.host, settings.http.port) == ("127.0.0.1", 9464)
    assert settings.notify_max_age == HOUR
    hook = settings.receivers["ops"].webhook
    assert hook.secret is not None
    assert hook.secret.get_secret_value() == SIGNING
    assert hook.timeout == 10_000
    assert [(dict(route.match), route.receiver) for route in settings.routes] == [({"team": "risk"}, "ops")]


def test_everything_that_can_be_said_of_a_model(given, tmp_path):
    settings = given(
        "monitoring: {features_from: features}\n"
        "models:\n"
        "  m:\n"
        "    window: {length: 90s, every: 30s, min_samples: 7, max_length: 1d, allowed_lateness: 0s,\n"
        "             max_wait: 1s, max_ahead: 2s, max_skew: 3s}\n"
        "    reference: {file: a.json, versions: {8: b.json}}\n"
        "    on_new_version: hold\n"
        "    rules:\n"
        "      drift: {statistic: [psi, new_rate], warning: 1e-3, critical: null, persist: 3,\n"
        "              false_alarms: 1 per model-month, on: age}\n"
        "      gaps: null\n"
        "      jump: {on: [age, prediction], delta: 1e-5, min_effect: 1, direction: up, resolve_after: 1h,\n"
        "             severity: critical}\n"
        "    retrain: {when: [jump.critical, drift], cool_down: 0s, budget_per_day: 2}\n"
        "    signals: {age: {from: prediction, type: numeric}, plan: {}}\n"
    )
    assert settings.spec().models["m"] == spec.Model(
        "m",
        window=spec.Window(90_000, 30_000, 7, DAY, 0, 1_000, 2_000, 3_000),
        reference=spec.ReferenceFiles(str(tmp_path / "a.json"), {"8": str(tmp_path / "b.json")}),
        on_new_version="hold",
        window_rules=(spec.WindowRule("drift", ("psi", "new_rate"), 0.001, None, 3, 12.0, ("age",)),),
        detector_rules=(spec.DetectorRule("jump", "adwin", ("age", "prediction"), 1e-5, 1.0, "up", HOUR, "critical"),),
        retrain=spec.Retrain((("jump", "critical"), ("drift", "warning")), 0, 2),
        signals={"age": spec.Signal("prediction", "numeric"), "plan": spec.Signal()},
        features_from="features",
    )


def test_another_detector_takes_nothing_of_the_parameters_of_the_one_before(given):
    found = given(
        "monitoring:\n"
        "  rules:\n"
        "    jump: {delta: 0.01, parameters: {clock: 8}}\n"
        "    errors: {detector: page_hinkley, on: error, parameters: {threshold: 45}}\n"
        "models:\n"
        "  m:\n"
        "    rules:\n"
        "      jump: {detector: ddm, on: error}\n"
        "      errors: {detector: page_hinkley, parameters: {delta: 0.2}}\n"
    ).spec()
    jump, errors = found.default.detector_rules
    assert (jump.delta, dict(jump.parameters)) == (0.01, {"clock": 8})
    assert dict(errors.parameters) == {"threshold": 45}
    jump, errors = found.models["m"].detector_rules
    assert (jump.detector, jump.delta, dict(jump.parameters)) == ("ddm", 0.002, {})
    assert dict(errors.parameters) == {"threshold": 45, "delta": 0.2}


def test_settings_are_frozen(given):
    settings = given()
    with pytest.raises(ValidationError):
        settings.notify_max_age = 1
    with pytest.raises(ValidationError):
        settings.kafka.group_id = "a"


def test_models_lie_over_monitoring_key_by_key(given):
    found = given(
        "monitoring:\n"
        "  window: {length: 2h, every: 10m}\n"
        "  rules: {drift: {warning: 0.15}, mine: {statistic: psi, warning: 0.2}}\n"
        "models:\n"
        "  m: {window: {every: 1h}, rules: {drift: {critical: 0.5}}}\n"
        "  n:\n"
    ).spec()
    assert found.models["m"].window == spec.Window(2 * HOUR, HOUR)
    drift, gaps, mine = found.models["m"].window_rules
    assert (drift.name, drift.warning, drift.critical, drift.persist) == ("drift", 0.15, 0.5, 2)
    assert gaps == spec.Model("").window_rules[1]
    assert mine == spec.WindowRule("mine", ("psi",), 0.2, None)
    assert found.default.window_rules[0].critical == 0.25
    assert found.models["n"].window == spec.Window(2 * HOUR, 10 * MINUTE)


def test_rules_are_removed_by_null(given):
    found = given("monitoring: {rules: {jump: null}}\nmodels: {m: {rules: {drift: off}}}\n").spec()
    assert [rule.name for rule in found.default.window_rules] == ["drift", "gaps"]
    assert found.default.detector_rules == ()
    assert [rule.name for rule in found.models["m"].window_rules] == ["gaps"]
    assert found.models["m"].retrain.when == ()  # nothing is left that could ask


@pytest.mark.parametrize("off", ["null", "off", "false"])
def test_retraining_is_turned_off(given, off):
    found = given(f"monitoring: {{retrain: {off}}}\nmodels: {{m: {{retrain: {{cool_down: 2h}}}}}}\n").spec()
    assert found.default.retrain.when == ()
    assert found.models["m"].retrain == spec.Retrain(cool_down=2 * HOUR)


def test_a_model_chooses_the_other_way(given, tmp_path):
    found = given(
        "monitoring: {reference: {learn: {for: 1d}}}\n"
        "models:\n"
        "  m: {reference: {file: m.json}, rules: {drift: {detector: adwin}, jump: {statistic: psi, warning: 1}}}\n"
    ).spec()
    assert found.models["m"].reference == spec.ReferenceFiles(str(tmp_path / "m.json"))
    assert found.models["m"].detector_rules == (spec.DetectorRule("drift"),)
    assert [rule.name for rule in found.models["m"].window_rules] == ["gaps", "jump"]
    assert found.default.reference == spec.Learn(DAY)


def test_models_in_files_of_their_own(given, tmp_path):
    settings = given(
        "models: {a: {}}",
        **{
            "models.d/b.yaml": "b: {reference: {file: b.json}}\nc:\n",
            "models.d/.hidden.yaml": "[",
            "models.d/notes": "[",
        },
    )
    assert list(settings.models) == ["b", "c", "a"]
    assert settings.spec().models["b"].reference == spec.ReferenceFiles(str(tmp_path / "models.d/b.json"))


def test_an_expression_lies_under_the_models_that_it_matches(given, tmp_path):
    found = given(
        "monitoring: {window: {length: 2h}, rules: {drift: {warning: 0.05}}}\n"
        "models:\n"
        "  fraud-eu: {labels: {region: eu}, window: {every: 10m}}\n"
        "  '^fraud-': {labels: {team: fraud}, window: {every: 1m}, reference: {file: fraud.json}}\n"
        "  '^fraud-us-': {labels: {team: us}, rules: {drift: null}}\n"
        "unknown_models: ignore\n"
    ).spec()
    assert list(found.models) == ["fraud-eu"]
    named = found.models["fraud-eu"]
    assert named.labels == {"team": "fraud", "region": "eu"}
    assert (named.window.length, named.window.every) == (2 * HOUR, 10 * MINUTE)
    assert named.reference == spec.ReferenceFiles(str(tmp_path / "fraud.json"))
    assert [expression.pattern for expression, _ in found.patterns] == ["^fraud-us-", "^fraud-"]
    keys = {name: found.key_of(name) for name in ("fraud-eu", "fraud-us-1", "fraud-de", "churn", "my-fraud-x")}
    assert keys == {
        "fraud-eu": "fraud-eu", "fraud-us-1": "^fraud-us-", "fraud-de": "^fraud-", "churn": "", "my-fraud-x": "",
    }  # fmt: skip
    settings = found.named()
    assert settings["^fraud-us-"].labels == {"team": "us"}
    assert [rule.name for rule in settings["^fraud-us-"].window_rules] == ["gaps"]
    assert settings["^fraud-us-"].reference == spec.Learn()
    assert [rule.warning for rule in settings["^fraud-"].window_rules if rule.name == "drift"] == [0.05]
    assert found.ignore_unknown


def test_anchors_and_merges(given):
    found = given(
        "models:\n"
        "  a: &usual\n"
        "    window: {length: 2h}\n"
        "    labels: {team: x}\n"
        "  b: *usual\n"
        "  c: {<<: *usual, labels: {team: y}}\n"
    ).spec()
    assert found.models["b"].window.length == found.models["c"].window.length == 2 * HOUR
    assert found.models["c"].labels == {"team": "y"}


def test_keys_are_text_whatever_yaml_makes_of_them(given):
    found = given("models: {1: {signals: {on: {type: numeric}, no: {}, 2026-01-01: {}, null: {}}}}").spec()
    assert sorted(found.models["1"].signals) == ["2026-01-01", "no", "null", "on"]


class TestEnvironment:
    def test_goes_before_the_file(self, given):
        text = "kafka: {group_id: file, start: earliest}"
        settings = given(text, {"DRIFTD_KAFKA__GROUP_ID": "environment"})
        assert (settings.kafka.group_id, settings.kafka.start) == ("environment", "earliest")

    def test_reaches_the_keys_of_maps(self, given):
        environ = {
            "DRIFTD_MODELS__CHURN__WINDOW__EVERY": "10m",
            "DRIFTD_MODELS__FRAUD_V2__RULES__DRIFT__WARNING": "0.2",
            "DRIFTD_MODELS__FRAUD_V2__RULES__JUMP": "null",
            "DRIFTD_RECEIVERS__Ops__WEBHOOK__TIMEOUT": "3s",
        }
        settings = given("models: {churn: {}, fraud-v2: {}}\nreceivers: {ops: {webhook: {url: 'http://h'}}}", environ)
        found = settings.spec()
        assert found.models["churn"].window.every == 10 * MINUTE
        assert found.models["fraud-v2"].window_rules[0].warning == 0.2
        assert found.models["fraud-v2"].detector_rules == ()
        assert settings.receivers["ops"].webhook.timeout == 3_000

    def test_the_same_name_goes_before_a_similar_one(self, given):
        settings = given("models: {a-b: {}, a_b: {}}", {"DRIFTD_MODELS__A_B__WINDOW__EVERY": "1m"})
        assert settings.models["a_b"].window.every == MINUTE
        assert settings.models["a-b"].window.every == 5 * MINUTE

    def test_takes_lists_and_maps_in_flow_style(self, given):
        environ = {
            "DRIFTD_KAFKA__TOPICS__PREDICTIONS": "[a, ^b.*]",
            "DRIFTD_KAFKA__TOPICS__LABELS": "c",
            "DRIFTD_MODELS": "{new: {on_new_version: hold}}",
            "DRIFTD_MODELS__NEW__WINDOW__EVERY": "1m",
        }
        settings = given("models: {old: {}}", environ)
        assert settings.kafka.topics.all() == ("a", "^b.*", "features", "c")
        assert sorted(settings.models) == ["new", "old"]
        assert settings.models["new"].window.every == MINUTE

    def test_fills_sections_that_are_empty(self, given):
        settings = given(
            "kafka:\nmodels:\n  m:\n", {"DRIFTD_KAFKA__GROUP_ID": "a", "DRIFTD_MODELS__M__WINDOW__EVERY": "1m"}
        )
        assert settings.kafka.group_id == "a"
        assert settings.models["m"].window.every == MINUTE

    def test_case_does_not_matter(self, given):
        assert given("", {"driftd_kafka__group_id": "a"}).kafka.group_id == "a"

    def test_gives_secrets_to_librdkafka_as_they_stand(self, given):
        settings = given(
            "kafka: {client: {linger.ms: 5, enable.ssl.certificate.verification: false}}",
            {"DRIFTD_KAFKA__CLIENT__SASL_PASSWORD": "0123[*yes"},
        )
        assert settings.kafka.client_config() == {
            "bootstrap.servers": "localhost:9092",
            "linger.ms": "5",
            "enable.ssl.certificate.verification": "false",
            "sasl.password": "0123[*yes",
        }
        assert "0123" not in repr(settings)

    def test_leaves_other_variables_alone(self, given):
        environ = {
            "DRIFTD_CONFIG": "x",
            "DRIFTD_SHARED_DATA": "x",
            "DRIFTD_TEST_KAFKA": "x",
            "DRIFTD_SERVICE_HOST": "10.0.0.1",
            "DRIFTD_SERVICE_PORT_HTTP": "9464",
            "DRIFTD_PORT": "tcp://10.0.0.1:9464",
            "DRIFTD_PORT_9464_TCP_ADDR": "10.0.0.1",
            "DRIFTD_METRICS_SERVICE_HOST": "10.0.0.1",
            "DRIFTDX__A": "x",
            "PATH": "x",
        }
        assert given("", environ) == given("")

    def test_a_number_of_kubernetes_kind_is_not_excused(self, given):
        (fault,) = refused(given, "", {"DRIFTD_PORT": "9464"})
        assert fault.key == "DRIFTD_PORT"

    def test_paths_are_relative_to_the_current_directory(self, given):
        assert given("", {"DRIFTD_STATE__DIRECTORY": "here"}).state.directory == Path("here")


def test_mappings(given):
    mapping = "{model: {topic: '^pred\\.(.+)$'}, id: {header: ce-id}, version: {const: '7'}, features: {path: a.b}}"
    settings = given(f"kafka: {{topics: {{predictions: '^pred'}}, mapping: {{^pred: {mapping}}}}}")
    found = settings.kafka.mapping["^pred"]
    assert found.model.said == ("topic", r"^pred\.(.+)$")
    assert found.id is not None
    assert found.id.said == ("header", "ce-id")
    assert found.version is not None
    assert found.version.said == ("const", "7")
    assert found.features is not None
    assert found.features.path == "a.b"
    assert found.time is None


def test_secrets_from_files(given):
    settings = given("kafka: {secret_files: {sasl.password: kafka.txt}}", **{"kafka.txt": "hunter2\n"})
    assert settings.kafka.client_config()["sasl.password"] == "hunter2"
    assert "hunter2" not in repr(settings)


def test_a_secret_that_everybody_may_write(given, tmp_path):
    (tmp_path / "password").write_text("hunter2")
    (tmp_path / "password").chmod(0o666)
    (fault,) = refused(given, "kafka: {secret_files: {sasl.password: password}}")
    assert "everybody may write" in fault.problem
    assert "chmod o-w" in fault.remedy


def test_faults_are_facts(given, tmp_path):
    (fault,) = refused(given, "\nhttp: {listn: a}")
    assert (fault.file, fault.line, fault.key) == (str(tmp_path / "driftd.yaml"), 2, "http.listn")
    assert str(fault) == f"{tmp_path}/driftd.yaml:2: http.listn: unknown key; did you mean `listen`?"


def test_a_removed_rule_may_be_named_by_what_is_inherited(given):
    text = "monitoring: {retrain: {when: [drift, jump]}}\nmodels: {m: {rules: {drift: null}}}"
    assert given(text).spec().models["m"].retrain.when == (("jump", "warning"),)
    (fault,) = refused(given, "models: {m: {rules: {drift: null}, retrain: {when: [drift]}}}")
    assert fault.key == "models.m.retrain.when[0]"


def test_ten_thousand_models_take_little_more_each_than_a_thousand(given):
    import time

    def took(models: int) -> float:
        lines = "\n".join(f"  m{n}: {{window: {{every: 1m}}, labels: {{team: t{n}}}}}" for n in range(models))
        start = time.process_time()
        assert len(given(f"models:\n{lines}").spec().models) == models
        return time.process_time() - start

    assert took(10_000) < 20 * took(1_000)
