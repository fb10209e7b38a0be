"""Whatever a person writes is accepted or refused in words; nothing else ever comes out."""

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from driftd.settings.load import examine

LINES = (Path(__file__).parent / "interfaces.yaml").read_text().splitlines()
PLAIN = "null [] {} -1 x .nan *a 1:30 '^(' \t \x00 \r"
FLOW = "{a: [b]}; &a b; {<<: {a: 1}}; {topic: '('}; {const: 1}; {learn: null}; {detector: adwin}; {statistic: psi}; ? a"
VALUES = st.sampled_from([*PLAIN.split(" "), *FLOW.split("; ")])
SECTIONS = st.sampled_from(
    ["MODELS", "KAFKA", "ROUTES", "RECEIVERS", "MODELS__CHURN__RULES", "MONITORING__RULES__DRIFT", "KAFKA__CLIENT__A"]
)


@st.composite
def texts(draw):
    """The example, with a few values replaced, lines gone and characters added."""
    lines = list(LINES)
    for _ in range(draw(st.integers(1, 3))):
        number = draw(st.integers(0, len(lines) - 1))
        parts = lines[number].split(":")
        match draw(st.integers(0, 2)):
            case 0:
                lines[number] = ""
            case 1:
                place = draw(st.integers(0, len(parts) - 1))
                parts[place] = f" {draw(VALUES)}{draw(st.sampled_from(['', ',', '}']))}"
                lines[number] = ":".join(parts)
            case _:
                place = draw(st.integers(0, len(lines[number])))
                extra = draw(st.text(max_size=3))
                lines[number] = lines[number][:place] + extra + lines[number][place:]
    return "\n".join(lines)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.one_of(texts(), st.text()), environ=st.dictionaries(SECTIONS.map("DRIFTD_".__add__), VALUES, max_size=1))
def test_accepted_or_refused_in_words(text, environ, tmp_path):
    config = tmp_path / "driftd.yaml"
    config.write_text(text, encoding="utf-8", newline="")
    examined = examine(config, environ)
    assert examined.settings is not None or examined.faults
    if examined.settings is not None:
        examined.settings.spec()
    for fault in examined.faults:
        assert fault.problem
        assert fault.remedy
        assert len(str(fault).splitlines()) == 1
