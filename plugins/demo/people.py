"""Made-up people: names in many scripts, and numbers that nobody has.

Where a country sets numbers aside for films and books, they come from those; elsewhere from ranges that are
not given out.
"""

import random
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import phonenumbers

_NOBODY = "000"  # no area and no operator of any of these countries has it


@dataclass(frozen=True)
class Locale:
    """A place where people of the demo live. Names are `native:latin` where the script is not Latin; `#` is a
    digit.
    """

    language: str
    country: str
    timezone: str
    city: str
    latitude: float
    longitude: float
    phone: str
    women: str
    men: str
    families: str
    family_first: bool = False
    weight: int = 10


@dataclass(frozen=True)
class Names:
    """The names of a place, each as it is written and as it stands in an email address.

    `number` is the place of `locale` among all; `digits` begin numbers there that nobody has, and that are
    longer than those of `locale`, which last for a few people only.
    """

    number: int
    locale: Locale
    women: tuple[tuple[str, str], ...]
    men: tuple[tuple[str, str], ...]
    families: tuple[tuple[str, str], ...]
    digits: str

    def whole(self, first: tuple[str, str], second: tuple[str, str] | None, family: tuple[str, str]) -> str:
        """Return the full name of somebody with one given name or two."""
        given = [first[0], second[0]] if second else [first[0]]
        return _joined(self.locale, given, family[0])


@dataclass(frozen=True)
class Person:
    """Someone made up."""

    name: str
    given: str
    gender: str
    email: str
    phone: str
    locale: Locale


LOCALES = (
    Locale(
        "en", "US", "America/New_York", "Boston", 42.3601, -71.0589, "+161755501##",
        "Mia Grace Harper Naomi Ruth Ellen Joan Tess", "Owen Caleb Miles Theo Jonah Seth Ray Dean",
        "Thompson Whitfield Carver Ellison Hale Marsh Boone Delgado Price Nolan", weight=26,
    ),
    Locale(
        "en", "GB", "Europe/London", "Leeds", 53.8008, -1.5491, "+447700900###",
        "Isla Freya Imogen Nia Poppy Orla", "Rhys Callum Alfie Hamish Idris Toby",
        "Ashworth O’Connell Llewellyn Fairbanks Barrow Penrose MacLeod Okoro", weight=18,
    ),
    Locale(
        "hi", "IN", "Asia/Kolkata", "Delhi", 28.6139, 77.2090, "+9155500#####",
        "प्रिया:Priya सिमरन:Simran अनन्या:Ananya मीरा:Meera कविता:Kavita दीपिका:Deepika",
        "रोहन:Rohan आरव:Aarav विक्रम:Vikram अर्जुन:Arjun संजय:Sanjay किरण:Kiran",
        "शर्मा:Sharma मेहता:Mehta कपूर:Kapoor वर्मा:Verma जोशी:Joshi मिश्रा:Mishra चौहान:Chauhan", weight=20,
    ),
    Locale(
        "en", "IN", "Asia/Kolkata", "Chennai", 13.0827, 80.2707, "+9155500#####",
        "Priya Lakshmi Nithya Divya Anjali Shreya", "Karthik Aditya Suresh Rahul Ganesh Vivek",
        "Raghunathan Iyer Krishnan Nagpal Subramaniam Reddy Menon", weight=14,
    ),
    Locale(
        "de", "DE", "Europe/Berlin", "Berlin", 52.5200, 13.4050, "+4917139200##",
        "Jana Käthe Greta Anneliese Sofie Birgit", "Jonas Jörg Matthias Björn Emil Lukas",
        "Weber Müller Schröder Groß Bäcker Köhler Yıldız Lindner", weight=20,
    ),
    Locale(
        "fr", "FR", "Europe/Paris", "Lyon", 45.7640, 4.8357, "+3363998####",
        "Léa Chloé Zoé Hélène Maëlys Inès", "Théo Loïc Gaël Étienne Rémi Noël",
        "Fournier Lefèvre Garçon Bélanger Dupré Ménard N’Diaye", weight=18,
    ),
    Locale(
        "es", "MX", "America/Mexico_City", "Mexico City", 19.4326, -99.1332, "+52000555####",
        "Ximena Itzel Lucía Begoña Noemí Pilar", "Íñigo Ángel Joaquín Martín Raúl Emiliano",
        "Muñoz Ibáñez Ordóñez Peña Güell Cárdenas Zúñiga", weight=16,
    ),
    Locale(
        "pt", "BR", "America/Sao_Paulo", "São Paulo", -23.5505, -46.6333, "+5510000055##",
        "Conceição Luíza Antônia Thaís Bárbara Inês", "Mateus João Otávio Luís Caetano Simão",
        "Carvalho Gonçalves Araújo Guimarães Brandão Sá Falcão", weight=16,
    ),
    Locale(
        "it", "IT", "Europe/Rome", "Bologna", 44.4949, 11.3426, "+390005550###",
        "Giulia Chiara Noemi Ludovica Elsa", "Niccolò Matteo Tommaso Elia Dario",
        "Bianchi D’Angelo Ferrari Esposito Fabbri Rinaldi", weight=10,
    ),
    Locale(
        "sv", "SE", "Europe/Stockholm", "Göteborg", 57.7089, 11.9746, "+467017406##",
        "Zoë Åsa Maja Ebba Saga Linnéa", "Björn Göran Håkan Måns Elis Åke",
        "Lindqvist Sjöberg Öberg Åkesson Nyström Hägg", weight=12,
    ),
    Locale(
        "ar", "AE", "Asia/Dubai", "Dubai", 25.2048, 55.2708, "+971500000###",
        "فاطمة:Fatima نورة:Noura ليلى:Layla مريم:Mariam هدى:Huda سلمى:Salma",
        "عمر:Omar خالد:Khalid يوسف:Yousef حسن:Hassan طارق:Tariq سامي:Sami",
        "الهاشمي:Al-Hashimi المنصوري:Al-Mansouri حداد:Haddad النجار:Al-Najjar الخطيب:Al-Khatib", weight=16,
    ),
    Locale(
        "he", "IL", "Asia/Jerusalem", "Haifa", 32.7940, 34.9896, "+972500000###",
        "נועה:Noa תמר:Tamar יעל:Yael רותם:Rotem", "איתן:Eitan נדב:Nadav יונתן:Yonatan עידו:Ido",
        "כהן:Cohen לוי:Levi ברק:Barak שלו:Shalev אלון:Alon", weight=8,
    ),
    Locale(
        "ja", "JP", "Asia/Tokyo", "大阪", 34.6937, 135.5023, "+8190000#####",
        "美咲:Misaki さくら:Sakura 結衣:Yui 陽子:Yoko 葵:Aoi",
        "健太:Kenta 翔:Sho 大輔:Daisuke 蓮:Ren 直樹:Naoki",
        "佐藤:Sato 鈴木:Suzuki 高橋:Takahashi 渡辺:Watanabe 小林:Kobayashi 山口:Yamaguchi",
        family_first=True, weight=16,
    ),
    Locale(
        "zh", "CN", "Asia/Shanghai", "杭州", 30.2741, 120.1551, "+86100000####",
        "婷婷:Tingting 雪:Xue 静怡:Jingyi 欣妍:Xinyan", "伟:Wei 志强:Zhiqiang 浩然:Haoran 明:Ming",
        "王:Wang 李:Li 张:Zhang 陈:Chen 欧阳:Ouyang", family_first=True, weight=14,
    ),
    Locale(
        "ko", "KR", "Asia/Seoul", "부산", 35.1796, 129.0756, "+82100000####",
        "서연:Seoyeon 지우:Jiwoo 하은:Haeun 수빈:Subin", "민준:Minjun 도윤:Doyun 현우:Hyunwoo 지호:Jiho",
        "김:Kim 이:Lee 박:Park 최:Choi 정:Jung", family_first=True, weight=10,
    ),
    Locale(
        "uk", "UA", "Europe/Kyiv", "Київ", 50.4501, 30.5234, "+380500000###",
        "Оксана:Oksana Ярина:Yaryna Соломія:Solomiia Леся:Lesia",
        "Олександр:Oleksandr Тарас:Taras Андрій:Andrii Богдан:Bohdan",
        "Коваленко:Kovalenko Шевчук:Shevchuk Бондар:Bondar Мельник:Melnyk Лисенко:Lysenko", weight=12,
    ),
    Locale(
        "el", "GR", "Europe/Athens", "Θεσσαλονίκη", 40.6401, 22.9444, "+306900000###",
        "Ελένη:Eleni Σοφία:Sofia Δήμητρα:Dimitra Ζωή:Zoi",
        "Γιώργος:Giorgos Νίκος:Nikos Στέλιος:Stelios Πέτρος:Petros",
        "Παππάς:Pappas Νικολάου:Nikolaou Δημητρίου:Dimitriou Κατσαρός:Katsaros", weight=10,
    ),
    Locale(
        "th", "TH", "Asia/Bangkok", "เชียงใหม่", 18.7883, 98.9853, "+668000000##",
        "สุดา:Suda มาลี:Malee กานดา:Kanda ปรียา:Priya", "สมชาย:Somchai อนันต์:Anan ธนา:Thana วิชัย:Wichai",
        "ใจดี:Jaidee สุขสันต์:Suksan ทองดี:Thongdee วงศ์สว่าง:Wongsawang", weight=10,
    ),
    Locale(
        "tr", "TR", "Europe/Istanbul", "İzmir", 38.4237, 27.1428, "+905000000###",
        "Gülşen Ayşe Çiğdem Şebnem İpek", "Oğuz Çağlar Şükrü İlker Emre",
        "Yılmaz Şahin Öztürk Çelik Güneş Aydın", weight=10,
    ),
    Locale(
        "en", "NG", "Africa/Lagos", "Lagos", 6.5244, 3.3792, "+2347000000###",
        "Chidinma Adaeze Yẹmisí Zainab Ifeoma", "Chukwuemeka Tunde Ọlámidé Musa Femi",
        "Okafor Adébáyọ̀ Nwosu Balogun Ẹ̀gbẹ́dá Danjuma", weight=12,
    ),
)  # fmt: skip


NEARBY = {
    "Boston": "Cambridge",
    "Leeds": "Bradford",
    "Delhi": "Gurugram",
    "Chennai": "Tambaram",
    "Berlin": "Potsdam",
    "Lyon": "Villeurbanne",
    "Mexico City": "Toluca",
    "São Paulo": "Osasco",
    "Bologna": "Modena",
    "Lagos": "Ikeja",
    "Dubai": "Sharjah",
}
"""A town beside each of some."""


def people(random_source: random.Random, count: int) -> Iterator[Person]:
    """Yield `count` people; no two share a number or an email address."""
    numbers: set[str] = set()
    addresses: set[str] = set()
    for _ in range(count):
        place = random_source.choices(LOCALES, [locale.weight for locale in LOCALES])[0]
        yield _person(random_source, place, numbers, addresses)


def names_of(number: int) -> Names:
    """Return the names of the place that has this number in LOCALES."""
    locale = LOCALES[number]
    women, men, families = (
        tuple((native, _plain(latin)) for native, latin in map(_name, text.split()))
        for text in (locale.women, locale.men, locale.families)
    )
    code = phonenumbers.country_code_for_region(locale.country)
    return Names(number, locale, women, men, families, f"{code}{_NOBODY}")


def _person(source: random.Random, locale: Locale, numbers: set[str], addresses: set[str]) -> Person:
    gender = source.choice(("female", "male"))
    given, given_latin = _name(source.choice((locale.women if gender == "female" else locale.men).split()))
    family, family_latin = _name(source.choice(locale.families.split()))
    name = _joined(locale, [given], family)
    phone = _new(
        numbers, lambda: "".join(source.choice("0123456789") if c == "#" else c for c in locale.phone)
    )
    local = f"{_plain(given_latin)}.{_plain(family_latin)}"
    domain = source.choice(("example.com", "example.org", "example.net"))
    counter = iter(range(1, 1000))
    email = _new(
        addresses, lambda: f"{local}{next(counter) if f'{local}@{domain}' in addresses else ''}@{domain}"
    )
    return Person(name, given, gender, email, phone, locale)


def _joined(locale: Locale, given: list[str], family: str) -> str:
    native = [family, *given] if locale.family_first else [*given, family]
    return ("" if locale.language in ("zh", "ko") else " ").join(native)


def _new(taken: set[str], make: Callable[[], str]) -> str:
    while (found := make()) in taken:
        pass
    taken.add(found)
    return found


def _name(text: str) -> tuple[str, str]:
    native, _, latin = text.partition(":")
    return native, latin or native


def _plain(name: str) -> str:
    """Return a name as it may stand in an email address."""
    decomposed = unicodedata.normalize("NFKD", name.replace("ß", "ss").replace("ı", "i").replace("ø", "o"))
    return "".join(c for c in decomposed.lower() if c.isascii() and c.isalpha())
