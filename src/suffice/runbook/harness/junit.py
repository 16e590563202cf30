"""Results as JUnit XML, which CI systems read."""

from collections.abc import Sequence
from xml.etree import ElementTree

from suffice.runbook.harness.case import EvalResult

SUITE = "suffice.eval"


def junit_xml(results: Sequence[EvalResult]) -> bytes:
    """One test suite, a test case for each result; what a case found is its output, or the message of its failure."""
    failures = sum(not result.passed for result in results)
    suite = ElementTree.Element(
        "testsuite",
        name=SUITE,
        tests=str(len(results)),
        failures=str(failures),
        errors="0",
        skipped="0",
        time=f"{sum(result.seconds for result in results):.3f}",
    )
    for result in results:
        case = ElementTree.SubElement(
            suite, "testcase", classname=SUITE, name=result.name, time=f"{result.seconds:.3f}"
        )
        what = "".join(letter if letter.isprintable() else " " for letter in result.what)
        if result.passed:
            ElementTree.SubElement(case, "system-out").text = what
        else:
            ElementTree.SubElement(case, "failure", message=what)
    ElementTree.indent(suite)
    text: bytes = ElementTree.tostring(suite, encoding="utf-8", xml_declaration=True)
    return text + b"\n"
