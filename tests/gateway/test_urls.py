import pytest

from smsgate.urls import address, base_url, check_url

DEFAULT = "https://sms.example.com/json/"


def test_without_a_setting_the_vendor_s_address_is_used() -> None:
    assert base_url({"username": "u"}, DEFAULT) == DEFAULT


@pytest.mark.parametrize("configured", ["https://other.example.com/a", "https://other.example.com/a/"])
def test_a_base_url_always_ends_in_one_slash(configured: str) -> None:
    assert base_url({"base_url": configured}, DEFAULT) == "https://other.example.com/a/"


def test_an_address_that_is_a_page_stays_as_it_is() -> None:
    page = "https://soap.example.com/SMS.asmx"

    assert address({}, "base_url", page) == page


def test_http_is_refused_unless_the_account_allows_it() -> None:
    account = {"base_url": "http://127.0.0.1:8080/"}

    with pytest.raises(ValueError, match=r"base_url: must begin with https"):
        base_url(account, DEFAULT)
    assert base_url({**account, "allow_http": True}, DEFAULT) == "http://127.0.0.1:8080/"


@pytest.mark.parametrize("allow_http", ["false", "true", 1, None])
def test_allow_http_is_a_boolean_and_nothing_that_looks_like_one(allow_http: object) -> None:
    with pytest.raises(ValueError, match="allow_http must be true or false"):
        base_url({"base_url": "http://127.0.0.1/", "allow_http": allow_http}, DEFAULT)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "sms.example.com",
        "//sms.example.com/",
        "ftp://sms.example.com/",
        "file:///etc/passwd",
        "https://",
        "https:///path",
        "https://user:pw@sms.example.com/",
        "https://user@sms.example.com/",
        "https://sms.example.com\\@evil.example.com/",
        "https://sms.example.com:port/",
        "https://sms.example.com:99999/",
        "https://sms.example.com/?token=1",
        "https://sms.example.com/#top",
        "https://sms.example.com/a b",
        "https://sms.example.com/\r\nHost: evil",
        "https://sms.example.com/\x00",
        "https://簡訊.example.com/",
    ],
)
def test_what_is_no_plain_address_is_refused_without_being_quoted(url: str) -> None:
    with pytest.raises(ValueError, match="must") as refused:
        check_url(url, allow_http=True)

    assert "example" not in str(refused.value)
    assert "pw" not in str(refused.value)


def test_an_address_that_is_no_string_is_refused_by_its_name() -> None:
    with pytest.raises(ValueError, match="backup_url must be a string"):
        address({"backup_url": 5}, "backup_url", DEFAULT)
