"""Numbers in and out: what is one person's number, what is none, and what may be shown of it."""

from __future__ import annotations

import re
import subprocess
import sys

import phonenumbers
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smsgate import numbers


@pytest.mark.parametrize(
    "written",
    [
        "0912345678",
        "+886912345678",
        "0912-345-678",
        "0912 345 678",
        "(0912) 345-678",
        "0912.345.678",
        "+886 912 345 678",
        "+886-912-345-678",
        "+886 (0)912 345 678",
        "(+886) 912345678",
        " 0912345678 ",
        "０９１２３４５６７８",
        "＋８８６９１２３４５６７８",
        "０９１２－３４５－６７８",
        "（０９１２）３４５６７８",
        "0912\u3000345\u3000678",
        "0912\u00a0345\u00a0678",
        "0912\u2011345\u2013678",
        "0912\u2212345\u2212678",
    ],
)
def test_every_usual_way_to_write_a_number_is_the_same_number(written: str) -> None:
    number = numbers.e164(written)

    assert number == "+886912345678"


@pytest.mark.parametrize(
    ("written", "country", "national"),
    [
        ("+886912345678", "TW", "912345678"),
        ("02-2345-6789", "TW", "223456789"),
        ("+852 9123 4567", "HK", "91234567"),
        ("+853 6612 3456", "MO", "66123456"),
        ("+86 131 2345 6789", "CN", "13123456789"),
        ("+1 202-555-0123", "US", "2025550123"),
        ("+1 416 555 0123", "CA", "4165550123"),
        ("+1 787 555 0123", "PR", "7875550123"),
        ("+44 7400 123456", "GB", "7400123456"),
        ("+44 1481 960194", "GG", "1481960194"),
        ("+7 701 123 4567", "KZ", "7011234567"),
        ("+7 912 345 67 89", "RU", "9123456789"),
        ("+39 06 1234 5678", "IT", "0612345678"),
        ("+81 90 1234 5678", "JP", "9012345678"),
        ("+65 8123 4567", "SG", "81234567"),
        ("+60 12-345 6789", "MY", "123456789"),
        ("+800 1234 5678", numbers.WORLD, "12345678"),
    ],
)
def test_a_number_knows_its_country(written: str, country: str, national: str) -> None:
    number = numbers.e164(written)

    assert numbers.country(number) == country
    assert numbers.national_digits(number) == national
    assert f"+{numbers.calling_code(number)}{national}" == number


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("", "is empty"),
        ("   ", "is empty"),
        ("-()", "is empty"),
        ("+", "too few or too many digits"),
        ("0", "too few or too many digits"),
        ("09", "too few or too many digits"),
        ("091234567", "not a number that exists"),
        ("09123456789", "not a number that exists"),
        ("+88691234567", "not a number that exists"),
        ("+8869123456789", "not a number that exists"),
        ("+8869123456789012", "too few or too many digits"),
        ("0912345678,0922333444", "the character ,"),
        ("0912345678;0922333444", "the character ;"),
        ("0912345678/0922333444", "the character /"),
        ("0912345678\n0922333444", r"the character U\+000A"),
        ("0912345678\n", r"the character U\+000A"),
        ("0912345678\r", r"the character U\+000D"),
        ("0912\t345678", r"the character U\+0009"),
        ("0912345678\x00", r"the character U\+0000"),
        ("\u202a+886912345678\u202c", r"the character U\+202A"),
        ("0912345678\u200b", r"the character U\+200B"),
        ("\ufeff0912345678", r"the character U\+FEFF"),
        ("0912\u2028345678", r"the character U\+2028"),
        ("0912\ud800345678", r"the character U\+D800"),
        ("٠٩١٢٣٤٥٦٧٨", "digits other than 0 to 9"),
        ("۰۹۱۲۳۴۵۶۷۸", "digits other than 0 to 9"),
        ("०९१२३४५६७८", "digits other than 0 to 9"),
        ("0912๓45678", "digits other than 0 to 9"),
        ("九一二三四五六七八", r"the character U\+4E5D"),
        ("tel:+886912345678", "letters"),
        ("sip:0912345678", "letters"),
        ("0912345678x12", "letters"),
        ("0912345678 ext 12", "letters"),
        ("+886912345678;ext=12", "the character ;"),
        ("0800-FLOWERS", "letters"),
        ("0912O45678", "letters"),
        ("0912345678#", "the character #"),
        ("*0912345678", r"the character \*"),
        ("0912_345678", "the character _"),
        ("0912'345678", "the character '"),
        ("<0912345678>", "the character <"),
        ("0912345678' OR '1'='1", "letters|the character '"),
        ("00886912345678", "international prefix"),
        ("+00886912345678", "international prefix"),
        ("+0912345678", "international prefix"),
        ("002886912345678", "international prefix"),
        ("019886912345678", "too few or too many digits"),
        ("886912345678", r"neither \+ and country code"),
        ("912345678", r"neither \+ and country code"),
        ("85291234567", r"neither \+ and country code"),
        ("++886912345678", r"a \+ that is not at its beginning"),
        ("+886912345678+", r"a \+ that is not at its beginning"),
        ("0912345678+0922333444", r"a \+ that is not at its beginning"),
        ("+999123456789", "country code that is not in use"),
        ("+2101234567890", "country code that is not in use"),
        ("+12005550123", "not a number that exists"),
        ("+15550123", "not a number that exists"),
        ("+85212345678", "not a number that exists"),
        ("110", "neither"),
        ("0912345678" * 5, "longer than any telephone number"),
        ("9" * 100_000, "longer than any telephone number"),
        ("\ufdfa" * 40, "the character"),
        ("%30912345678", "the character %"),
        ("{number}", "the character {"),
        ("-0912345678e0", "letters"),
        ("0x912345678", "letters"),
        ("①②③④⑤⑥⑦⑧⑨", "neither"),
    ],
)
def test_what_is_no_number_is_refused_with_the_remedy_and_without_repeating_it(written: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as caught:
        numbers.e164(written)

    said = str(caught.value)
    assert re.search(r"write it like|check its digits", said)
    remedy_apart = said.replace(numbers.HOW_TO_WRITE, "")
    assert not re.search(r"\d{4,}", re.sub(r"U\+[0-9A-F]{4,6}", "", remedy_apart))


@given(st.from_regex(r"09[0-9]{8}", fullmatch=True))
@example("0900000000")
@example("0999999999")
def test_the_short_way_for_taiwans_mobiles_says_what_phonenumbers_says(written: str) -> None:
    parsed = phonenumbers.parse(written, "TW")

    number = numbers.e164(written)

    assert phonenumbers.is_valid_number(parsed)
    assert number == phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    assert numbers.country(number) == phonenumbers.region_code_for_number(parsed)
    assert numbers.calling_code(number) == str(parsed.country_code)
    assert numbers.national_digits(number) == phonenumbers.national_significant_number(parsed)


def test_the_short_way_holds_in_every_block_of_taiwans_mobile_plan() -> None:
    blocks = [f"+8869{block:04d}0000" for block in range(10_000)]

    unknown = [number for number in blocks if not phonenumbers.is_valid_number(phonenumbers.parse(number))]

    assert unknown == []


@given(st.text(max_size=60) | st.text("+0123456789０１２٣٤ -().\u2010x", max_size=24))
def test_whatever_is_written_is_a_valid_number_or_refused(written: str) -> None:
    try:
        number = numbers.e164(written)
    except ValueError:
        return

    assert re.fullmatch(r"\+[1-9][0-9]{6,14}", number)
    assert phonenumbers.is_valid_number(phonenumbers.parse(number))
    assert numbers.e164(number) == number


@pytest.mark.parametrize("region", sorted(phonenumbers.SUPPORTED_REGIONS))
def test_every_countrys_example_number_comes_back_with_its_country(region: str) -> None:
    sample = phonenumbers.example_number(region)
    if sample is None or not phonenumbers.is_valid_number(sample):
        pytest.skip("phonenumbers has no example for this region")
    written = phonenumbers.format_number(sample, phonenumbers.PhoneNumberFormat.INTERNATIONAL)

    number = numbers.e164(written)

    assert number == phonenumbers.format_number(sample, phonenumbers.PhoneNumberFormat.E164)
    assert numbers.country(number) == phonenumbers.region_code_for_number(sample)
    assert numbers.calling_code(number) == str(sample.country_code)


def test_a_taiwanese_number_is_dialled_with_a_leading_zero() -> None:
    assert numbers.taiwan_national("+886912345678") == "0912345678"


def test_only_taiwanese_numbers_have_a_taiwanese_form() -> None:
    with pytest.raises(ValueError, match="not one of Taiwan's"):
        numbers.taiwan_national("+85291234567")


@pytest.mark.parametrize(
    ("number", "in_taiwan", "mobile"),
    [
        ("+886912345678", True, True),
        ("+886990123456", True, True),
        ("+886223456789", True, False),
        ("+886800123456", True, False),
        ("+88691234567", True, False),
        ("+85291234567", False, False),
        ("+8613912345678", False, False),
    ],
)
def test_a_taiwanese_mobile_number_is_09_and_eight_more_digits(number: str, in_taiwan: bool, mobile: bool) -> None:
    assert (numbers.is_taiwan(number), numbers.is_taiwan_mobile(number)) == (in_taiwan, mobile)


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("0912345678", "+886912345678"),
        ("886912345678", "+886912345678"),
        ("+886912345678", "+886912345678"),
        ("8613681912700", "+8613681912700"),
        ("85261234567", "+85261234567"),
        ("55123", None),
        ("0912***678", None),
        ("", None),
    ],
)
def test_what_a_vendor_calls_a_number_is_known_in_e164(written: str, number: str | None) -> None:
    assert numbers.from_dialled(written) == number


@pytest.mark.parametrize("number", ["+999123456", "+", "", "886912345678"])
def test_without_a_calling_code_there_is_no_country(number: str) -> None:
    with pytest.raises(ValueError, match="no calling code"):
        numbers.country(number)


@pytest.mark.parametrize(
    ("number", "shown"),
    [("+886912345678", "*********678"), ("0912345678", "*******678"), ("+852123", "******"), ("12", "**"), ("", "")],
)
def test_a_masked_number_shows_three_digits_at_most(number: str, shown: str) -> None:
    assert numbers.masked(number) == shown


def test_taiwans_mobiles_do_not_load_phonenumbers() -> None:
    script = (
        "import sys; from smsgate import numbers as n; number = n.e164('0912345678');"
        "n.country(number), n.national_digits(number), n.taiwan_national(number), n.masked(number);"
        "sys.exit('phonenumbers' in sys.modules)"
    )

    finished = subprocess.run([sys.executable, "-c", script], env={"PYTHONPATH": ":".join(sys.path)}, check=False)

    assert finished.returncode == 0
