"""The suite's word lists. They are short on purpose: a model of 1.4 M parameters learns no other words."""


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


NAMES = _words(
    "Ann Bob Carl Dana Eve Finn Gina Hugo Iris Jack Kate Liam Mona Nina Omar Paul Quinn Rosa Sam Tina Uma Vera Will "
    "Xena Yuri Zoe Adam Beth Cora Dean Elsa Fred Gwen Hank Ivan June Kurt Lena Mark Nora Olga Pete Ruth Sara Tom "
    "Ursa Vic Wade Yara Zack"
)
SURNAMES = _words(
    "Adler Brown Clark Davis Evans Fisher Grant Hall Irwin Jones King Lopez Moore Nolan Owens Price Reed Scott "
    "Turner Young"
)
CITIES = _words(
    "Paris London Rome Berlin Madrid Oslo Vienna Tokyo Dublin Prague Lisbon Athens Cairo Delhi Lima Quito Seoul "
    "Boston Denver Miami"
)
ITEMS = _words(
    "lamp chair desk phone cable mouse printer camera tablet router speaker monitor jacket boots backpack bottle "
    "kettle toaster clock mirror"
)
GOODS = _words("apples coins books stamps cards pens marbles shells tickets stickers cookies eggs")
DAYS = _words("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
MONTHS = _words("January February March April May June July August September October November December")
DOCUMENTS = _words("report invoice contract summary budget agenda proposal schedule manual receipt")
DOMAINS = _words("mail.com post.net corp.org shop.io")
ADJECTIVES = _words("red blue green small large new old fast quiet heavy")
LETTERS = tuple("abcdefghjkmnpqrstuvwxyz")
