"""Configurations that are broken in one way each, and what has to be said of them.

The texts lie in `driftd.yaml`; lines are counted from 1. `{folder}` stands for the folder of the test.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Broken:
    name: str
    text: str
    line: int
    key: str
    problem: str
    remedy: str
    environ: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    file: str = "driftd.yaml"


def bomb() -> str:
    """Nine lists of nine lists of ...: a few lines that grow to a billion values."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    return "\n".join(lines)


IN_YAML = [
    Broken("tab", "kafka:\n\tgroup_id: a\n", 2, "", "not YAML", "spaces, never with tabs"),
    Broken("bracket", "kafka: {group_id: a\nhttp: {}\n", 2, "", "not YAML", "mend the YAML"),
    Broken("control character", 'kafka: {}\nhttp: {listen: "a\x07:1"}\n', 2, "", "control character", "remove"),
    Broken("list", "- kafka\n", 1, "", "not a mapping", "`key: value` lines"),
    Broken("text", "hello\n", 1, "", "not a mapping", "`key: value` lines"),
    Broken("two documents", "kafka: {}\n---\nhttp: {}\n", 2, "", "second document", "keep one document"),
    Broken(
        "twice", "http: {}\nkafka: {}\nhttp: {}\n", 3, "http", "given twice, first in line 1", "keep one of the two"
    ),
    Broken(
        "twice, deep",
        "models:\n  churn:\n    window: {every: 1m, every: 2m}\n",
        3,
        "models.churn.window.every",
        "given twice, first in line 3",
        "keep one",
    ),
    Broken("alias bomb", bomb(), 6, "a5[", "aliases grow", "write the values out"),
    Broken("alias of nothing", "http: *nowhere\n", 1, "http", "alias of nothing", "anchor"),
    Broken("alias of itself", "http: &a {listen: *a}\n", 1, "http.listen", "alias of nothing", "anchor"),
    Broken("depth", "models: " + "[" * 50 + "]" * 50, 1, "", "nested more than", "flatten"),
    Broken(
        "tag", "state: {directory: !!python/object:os.system ls}\n", 1, "state.directory", "the tag", "remove the tag"
    ),
    Broken("tagged section", "http: !section {}\n", 1, "http", "the tag", "remove the tag"),
    Broken("odd key", "? [a, b]\n: c\n", 1, "", "a key that is not text", "plain name"),
    Broken("merge of text", "http: {<<: hello}\n", 1, "http", "`<<` merges", "alias of a mapping"),
    Broken("false tag", "limits: {models: !!int many}\n", 1, "limits.models", "not a value of its tag", "plain value"),
]

IN_ONE_KEY = [
    Broken("unknown section", "kafka: {}\nmonitor: {}\n", 2, "monitor", "unknown key", "did you mean `monitoring`?"),
    Broken("private section", "_env_file: x\n", 1, "_env_file", "unknown key", "remove it"),
    Broken(
        "unknown key",
        "monitoring:\n  window:\n    evry: 5m\n",
        3,
        "monitoring.window.evry",
        "unknown key",
        "did you mean `every`?",
    ),
    Broken(
        "key elsewhere",
        "cool_down: 1h\n",
        1,
        "cool_down",
        "unknown key",
        "it belongs at `monitoring.retrain.cool_down`",
    ),
    Broken("key nowhere", "http: {colour: red}\n", 1, "http.colour", "unknown key", "keys here: listen"),
    Broken(
        "expression for models",
        "models:\n  '^fraud-(': {}\n",
        2,
        'models."^fraud-("',
        "not a regular expression",
        "without ^",
    ),
    Broken("unknown models", "unknown_models: drop\n", 1, "unknown_models", "drop", "watch"),
    Broken("bare number", "notify_max_age: 30\n", 1, "notify_max_age", "number without a unit", "for instance 30s"),
    Broken("bad duration", "notify_max_age: soon\n", 1, "notify_max_age", "'soon' is not a duration", "such as 90s"),
    Broken("fraction", "notify_max_age: 1.5h\n", 1, "notify_max_age", "not a duration", "1h30m"),
    Broken("negative", "notify_max_age: -5m\n", 1, "notify_max_age", "negative", "such as 90s"),
    Broken("disorder", "notify_max_age: 30m1h\n", 1, "notify_max_age", "great units to small", "such as 90s"),
    Broken("zero", "state: {commit_every: 0s}\n", 1, "state.commit_every", "longer than 0", "write a number"),
    Broken("age of the sun", "notify_max_age: 5000000y\n", 1, "notify_max_age", "100 years", "shorter"),
    Broken("duration list", "notify_max_age: [1h]\n", 1, "notify_max_age", "not a duration", "such as 90s"),
    Broken("size without unit", "learning_memory: 1000\n", 1, "learning_memory", "without a unit", "256MiB"),
    Broken("size", "learning_memory: 1 elephant\n", 1, "learning_memory", "not a size", "256MiB"),
    Broken("no memory", "learning_memory: 0B\n", 1, "learning_memory", "a size of nothing", "256MiB"),
    Broken(
        "text for number",
        "limits: {models: many}\n",
        1,
        "limits.models",
        "expected a whole number, got 'many'",
        "digits",
    ),
    Broken("fraction of models", "limits: {models: 1.5}\n", 1, "limits.models", "whole number", "without a fraction"),
    Broken("no models", "limits: {models: 0}\n", 1, "limits.models", "at least 1, got 0", "within the bounds"),
    Broken(
        "infinite",
        "monitoring: {rules: {drift: {warning: .inf}}}\n",
        1,
        "monitoring.rules.drift.warning",
        "a finite number",
        "digits",
    ),
    Broken("number for text", "kafka: {group_id: 7}\n", 1, "kafka.group_id", "expected text, got 7", "in quotes"),
    Broken(
        "number in labels",
        "models: {m: {labels: {tier: 1}}}\n",
        1,
        "models.m.labels.tier",
        "expected text",
        "in quotes",
    ),
    Broken("text for a section", "http: hello\n", 1, "http", "expected a mapping, got 'hello'", "`key: value`"),
    Broken("text for a list", "routes: hello\n", 1, "routes", "expected a mapping", "`key: value`"),
    Broken("mapping for a list", "routes: {a: b}\n", 1, "routes", "expected a list", "[a, b]"),
    Broken(
        "text for a bool",
        "kafka: {dead_letters: {payload: maybe}}\n",
        1,
        "kafka.dead_letters.payload",
        "true or false",
        "true or false",
    ),
    Broken(
        "a share of more than all",
        "kafka: {dead_letters: {halt_share: 1.5}}\n",
        1,
        "kafka.dead_letters.halt_share",
        "must be less than 1, got 1.5",
        "within the bounds",
    ),
    Broken(
        "no outbox", "state: {outbox_limit: 0}\n", 1, "state.outbox_limit", "at least 1, got 0", "within the bounds"
    ),
    Broken("start", "kafka: {start: newest}\n", 1, "kafka.start", "'newest' is not known here", "'latest', 'earliest'"),
    Broken(
        "address", "kafka: {bootstrap_servers: 'a:b:c'}\n", 1, "kafka.bootstrap_servers", "not an address", "host:port"
    ),
    Broken("listen", "http: {listen: '9464'}\n", 1, "http.listen", "not an address to listen on", "127.0.0.1:9464"),
    Broken("listen port", "http: {listen: 'a:99999'}\n", 1, "http.listen", "not an address to listen on", "host:port"),
    Broken(
        "topic",
        "kafka: {topics: {labels: [ok, 'not ok']}}\n",
        1,
        "kafka.topics.labels[1]",
        "cannot be a topic",
        "begins with ^",
    ),
    Broken(
        "fold that is no expression",
        "monitoring: {versions: {fold: {git: '^[0-9'}}}\n",
        1,
        "monitoring.versions.fold.git",
        "not a regular expression",
        "mend",
    ),
    Broken(
        "expression", "kafka: {topics: {labels: '^(a'}}\n", 1, "kafka.topics.labels", "not a regular expression", "mend"
    ),
    Broken(
        "dead letters' topic",
        "kafka: {dead_letters: {topic: ^a}}\n",
        1,
        "kafka.dead_letters.topic",
        "cannot be a topic",
        "name",
    ),
    Broken(
        "statistic",
        "monitoring: {rules: {drift: {statistic: ks}}}\n",
        1,
        "monitoring.rules.drift.statistic",
        "'ks' is not known",
        "'psi'",
    ),
    Broken(
        "detector",
        "monitoring:\n  rules:\n    jump: {detector: eddm}\n",
        3,
        "monitoring.rules.jump.detector",
        "'eddm' is not known",
        "'adwin'",
    ),
    Broken(
        "severity",
        "monitoring: {rules: {jump: {severity: bad}}}\n",
        1,
        "monitoring.rules.jump.severity",
        "'bad' is not known",
        "'warning', 'critical'",
    ),
    Broken(
        "direction",
        "monitoring: {rules: {jump: {direction: left}}}\n",
        1,
        "monitoring.rules.jump.direction",
        "not known",
        "'both'",
    ),
    Broken(
        "delta",
        "monitoring: {rules: {jump: {delta: 1}}}\n",
        1,
        "monitoring.rules.jump.delta",
        "less than 1, got 1",
        "bounds",
    ),
    Broken(
        "rule of nothing",
        "monitoring: {rules: {mine: {warning: 0.1}}}\n",
        1,
        "monitoring.rules.mine.statistic",
        "is missing",
        "`detector: adwin`",
    ),
    Broken(
        "rule of no signal",
        "monitoring: {rules: {jump: {on: []}}}\n",
        1,
        "monitoring.rules.jump.on",
        "is empty",
        "at least one",
    ),
    Broken(
        "no warning",
        "monitoring: {rules: {mine: {statistic: psi}}}\n",
        1,
        "monitoring.rules.mine.warning",
        "is missing",
        "add `warning",
    ),
    Broken(
        "persist",
        "monitoring: {rules: {gaps: {persist: 0}}}\n",
        1,
        "monitoring.rules.gaps.persist",
        "at least 1",
        "bounds",
    ),
    Broken(
        "budget",
        "monitoring: {rules: {gaps: {false_alarms: few}}}\n",
        1,
        "monitoring.rules.gaps.false_alarms",
        "not a budget",
        "1 per model-year",
    ),
    Broken(
        "no budget",
        "monitoring: {rules: {gaps: {false_alarms: 0 per model-year}}}\n",
        1,
        "monitoring.rules.gaps.false_alarms",
        "never fire",
        "1 per model-year",
    ),
    Broken(
        "learn and file",
        "monitoring: {reference: {learn: {}, file: a}}\n",
        1,
        "monitoring.reference",
        "both learned and from files",
        "keep `learn`",
    ),
    Broken(
        "on_new_version",
        "monitoring: {on_new_version: ask}\n",
        1,
        "monitoring.on_new_version",
        "'ask' is not known",
        "'hold'",
    ),
    Broken(
        "condition",
        "monitoring: {retrain: {when: [drift.bad]}}\n",
        1,
        "monitoring.retrain.when[0]",
        "names no severity",
        "RULE.critical",
    ),
    Broken(
        "signal type",
        "models: {m: {signals: {age: {type: date}}}}\n",
        1,
        "models.m.signals.age.type",
        "'date' is not known",
        "'numeric'",
    ),
    Broken(
        "signal source",
        "models: {m: {signals: {age: {from: air}}}}\n",
        1,
        "models.m.signals.age.from",
        "'air' is not known",
        "'features'",
    ),
    Broken(
        "mapping without model",
        "kafka:\n  mapping:\n    predictions: {id: {path: a}}\n",
        3,
        "kafka.mapping.predictions.model",
        "is missing",
        "add `model",
    ),
    Broken(
        "mapping of two",
        "kafka: {mapping: {labels: {model: {path: a, const: b}}}}\n",
        1,
        "kafka.mapping.labels.model",
        "expected one of",
        "exactly one",
    ),
    Broken(
        "mapping expression",
        "kafka: {mapping: {labels: {model: {topic: '(a'}}}}\n",
        1,
        "kafka.mapping.labels.model",
        "not a regular expression",
        "mend",
    ),
    Broken(
        "receiver of no kind", "receivers: {ops: {}}\n", 1, "receivers.ops", "of no kind", "add one of webhook, slack"
    ),
    Broken(
        "receiver without url",
        "receivers:\n  ops:\n    webhook: {timeout: 1s}\n",
        3,
        "receivers.ops.webhook.url",
        "is missing",
        "add `url",
    ),
    Broken(
        "url scheme",
        "receivers: {ops: {webhook: {url: 'ftp://h/x'}}}\n",
        1,
        "receivers.ops.webhook.url",
        "scheme is 'ftp'",
        "https://",
    ),
    Broken(
        "url without scheme",
        "receivers: {ops: {webhook: {url: 'example'}}}\n",
        1,
        "receivers.ops.webhook.url",
        "without a scheme",
        "https://",
    ),
    Broken(
        "url without host",
        "receivers: {ops: {webhook: {url: 'https:///x'}}}\n",
        1,
        "receivers.ops.webhook.url",
        "with a host",
        "https://",
    ),
    Broken(
        "no url",
        "receivers: {ops: {webhook: {url: 'http://[x'}}}\n",
        1,
        "receivers.ops.webhook.url",
        "not a URL",
        "https://",
    ),
    Broken("path", "state: {directory: 7}\n", 1, "state.directory", "path of a file, got 7", "in quotes"),
]

BETWEEN_KEYS = [
    Broken(
        "every",
        "monitoring:\n  window:\n    length: 1h\n    every: 7m\n",
        4,
        "monitoring.window.every",
        "7m does not divide the length 1h",
        "divisor",
    ),
    Broken(
        "every of the default",
        "monitoring: {window: {length: 57s}}\n",
        1,
        "monitoring.window.length",
        "does not divide",
        "divisor",
    ),
    Broken(
        "every in ms", "monitoring: {window: {every: 1500ms}}\n", 1, "monitoring.window.every", "whole seconds", "30s"
    ),
    Broken(
        "every of a model",
        "monitoring: {window: {every: 5m}}\nmodels:\n  m:\n    window: {length: 57m}\n",
        4,
        "models.m.window.length",
        "5m does not divide the length 57m",
        "divisor",
    ),
    Broken(
        "length", "monitoring: {window: {length: 8d}}\n", 1, "monitoring.window.length", "8d", "raise window.max_length"
    ),
    Broken(
        "max_length",
        "monitoring: {window: {max_length: 91d}}\n",
        1,
        "monitoring.window.max_length",
        "longer than 90 days",
        "at most 90d",
    ),
    Broken(
        "warning",
        "monitoring: {rules: {drift: {warning: 0.5}}}\n",
        1,
        "monitoring.rules.drift.warning",
        "warning 0.5 is above critical 0.25",
        "lower the warning",
    ),
    Broken(
        "retrain's rule",
        "monitoring: {retrain: {when: [dirft.critical]}}\n",
        1,
        "monitoring.retrain.when[0]",
        "no rule `dirft`",
        "did you mean `drift`?",
    ),
    Broken(
        "retrain's severity",
        "monitoring: {retrain: {when: jump.critical}}\n",
        1,
        "monitoring.retrain.when",
        "`jump` is never critical",
        "write `jump`",
    ),
    Broken(
        "no rule to remove",
        "models: {m: {rules: {drfit: null}}}\n",
        1,
        "models.m.rules.drfit",
        "no such rule",
        "did you mean `drift`?",
    ),
    Broken(
        "label", "models: {m: {labels: {my-team: a}}}\n", 1, "models.m.labels.my-team", "cannot be a label", "letters"
    ),
    Broken(
        "our label",
        "models: {m: {labels: {rule: a}}}\n",
        1,
        "models.m.labels.rule",
        "driftd gives this label itself",
        "another name",
    ),
    Broken(
        "route",
        "receivers: {ops: {webhook: {url: 'http://h'}}}\nroutes:\n  - {receiver: ops}\n  - {receiver: opps}\n",
        4,
        "routes[1].receiver",
        "no receiver `opps`",
        "did you mean `ops`?",
    ),
    Broken("heartbeat", "heartbeat: {receiver: nobody}\n", 1, "heartbeat.receiver", "no receiver `nobody`", "none yet"),
    Broken(
        "owned",
        "kafka:\n  client:\n    group.id: a\n",
        3,
        'kafka.client."group.id"',
        "driftd sets this itself",
        "kafka.group_id",
    ),
    Broken(
        "the broker's",
        "kafka:\n  client:\n    group.protocol: consumer\n    session.timeout.ms: 9000\n",
        4,
        'kafka.client."session.timeout.ms"',
        "the broker's to set",
        "remove it",
    ),
    Broken(
        "password",
        "kafka: {client: {sasl.password: hunter2}}\n",
        1,
        'kafka.client."sasl.password"',
        "a secret in the settings",
        "DRIFTD_KAFKA__CLIENT__SASL_PASSWORD",
    ),
    Broken(
        "no topic",
        "kafka: {topics: {predictions: [], features: [], labels: []}}\n",
        1,
        "kafka.topics",
        "no topic is read",
        "name a topic",
    ),
    Broken("circle", "kafka: {topics: {predictions: ^.*}}\n", 1, "kafka.topics", "come back for ever", "narrow"),
    Broken(
        "mapping of no topic",
        "kafka: {mapping: {prediction: {model: {const: m}}}}\n",
        1,
        "kafka.mapping.prediction",
        "not in kafka.topics",
        "kafka.topics",
    ),
    Broken(
        "kind",
        "kafka: {mapping: {labels: {model: {const: m}, kind: {const: x}}}}\n",
        1,
        "kafka.mapping.labels.kind.const",
        "`x` is no kind",
        "features",
    ),
]

HOOK = "receivers:\n  ops:\n    webhook:\n      url: https://h/x\n      secret_file: hook\n"

IN_FILES = [
    Broken("no secret", HOOK, 5, "receivers.ops.webhook.secret_file", "there is no file {folder}/hook", "name a file"),
    Broken(
        "empty secret", HOOK, 5, "receivers.ops.webhook.secret_file", "is empty", "name a file", files={"hook": "\n"}
    ),
    Broken(
        "odd secret",
        HOOK,
        5,
        "receivers.ops.webhook.secret_file",
        "Standard Webhooks",
        "openssl rand",
        files={"hook": "hunter2!"},
    ),
    Broken(
        "secret folder", HOOK, 5, "receivers.ops.webhook.secret_file", "not a file", "name a file", files={"hook/x": ""}
    ),
    Broken(
        "reference missing",
        "models:\n  m:\n    reference: {file: r.json}\n",
        3,
        "models.m.reference.file",
        "{folder}/r.json cannot be read",
        "driftd reference build --model m",
    ),
    Broken(
        "reference of something else",
        "models:\n  m:\n    reference: {versions: {8: r.json}}\n",
        3,
        "models.m.reference.versions.8",
        "no sound reference",
        "driftd reference build",
        files={"r.json": "{}"},
    ),
    Broken(
        "state in a file",
        "state: {directory: state/deep}\n",
        1,
        "state.directory",
        "{folder}/state is not a directory",
        "name a directory",
        files={"state": ""},
    ),
    Broken(
        "librdkafka",
        "kafka: {client: {linger.mss: 1}}\n",
        1,
        'kafka.client."linger.mss"',
        "No such configuration property",
        "CONFIGURATION.md",
    ),
    Broken(
        "librdkafka's value",
        "kafka: {client: {security.protocol: tin}}\n",
        1,
        'kafka.client."security.protocol"',
        "Invalid value",
        "CONFIGURATION.md",
    ),
    Broken(
        "model twice",
        "models:\n  m: {}\n",
        3,
        "models.m",
        "given twice, first in {folder}/driftd.yaml:2",
        "keep one",
        files={"models.d/a.yaml": "# our\n\nm: {}\n"},
        file="models.d/a.yaml",
    ),
    Broken(
        "model in two files",
        "",
        1,
        "models.m",
        "given twice, first in {folder}/models.d/a.yaml:1",
        "keep one",
        files={"models.d/a.yaml": "m: {}", "models.d/b.yaml": "m: {}"},
        file="models.d/b.yaml",
    ),
    Broken(
        "models.d list",
        "",
        1,
        "models",
        "not a mapping",
        "`NAME:`",
        files={"models.d/a.yaml": "[m]"},
        file="models.d/a.yaml",
    ),
    Broken(
        "models.d key",
        "",
        2,
        "models.m.windw",
        "unknown key",
        "`window`",
        files={"models.d/a.yaml": "m:\n  windw: {}\n"},
        file="models.d/a.yaml",
    ),
    Broken(
        "models.d yml", "", 0, "", "ends in .yml", "rename it", files={"models.d/a.yml": "m: {}"}, file="models.d/a.yml"
    ),
]

ENVIRONMENT = [
    Broken(
        "unknown variable",
        "",
        0,
        "DRIFTD_KAFKA__GROUP",
        "no setting has this name",
        "did you mean DRIFTD_KAFKA__GROUP_ID?",
        {"DRIFTD_KAFKA__GROUP": "a"},
        file="environment",
    ),
    Broken(
        "one underscore",
        "",
        0,
        "DRIFTD_KAFKA_START",
        "no setting has this name",
        "did you mean DRIFTD_KAFKA__START?",
        {"DRIFTD_KAFKA_START": "latest"},
        file="environment",
    ),
    Broken(
        "variable too deep",
        "",
        0,
        "DRIFTD_KAFKA__START__NOW",
        "no setting has this name",
        "DRIFTD_KAFKA__START",
        {"DRIFTD_KAFKA__START__NOW": "a"},
        file="environment",
    ),
    Broken(
        "unknown model",
        "models: {churn: {}}\n",
        0,
        "DRIFTD_MODELS__CHRUN__WINDOW__EVERY",
        "no setting",
        "DRIFTD_MODELS__CHURN",
        {"DRIFTD_MODELS__CHRUN__WINDOW__EVERY": "1m"},
        file="environment",
    ),
    Broken(
        "two models",
        "models: {a-b: {}, a.b: {}}\n",
        0,
        "DRIFTD_MODELS__A_B__WINDOW__EVERY",
        "several keys: a-b, a.b",
        "in the file",
        {"DRIFTD_MODELS__A_B__WINDOW__EVERY": "1m"},
        file="environment",
    ),
    Broken(
        "bad value",
        "",
        0,
        "DRIFTD_NOTIFY_MAX_AGE",
        "number without a unit",
        "for instance 30s",
        {"DRIFTD_NOTIFY_MAX_AGE": "30"},
        file="environment",
    ),
    Broken("bad YAML", "", 0, "DRIFTD_ROUTES", "not YAML", "mend", {"DRIFTD_ROUTES": "[{"}, file="environment"),
    Broken(
        "bad key in flow",
        "",
        0,
        "DRIFTD_MODELS.m.windw",
        "unknown key",
        "`window`",
        {"DRIFTD_MODELS": "{m: {windw: {}}}"},
        file="environment",
    ),
]

ALL = IN_YAML + IN_ONE_KEY + BETWEEN_KEYS + IN_FILES + ENVIRONMENT
