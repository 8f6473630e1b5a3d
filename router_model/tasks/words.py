"""Word lists that the suite draws from. Short and closed on purpose: a model of 1.4 M parameters knows these and no others."""

NAMES = tuple(
    ["Ann", "Bob", "Carl", "Dana", "Eve", "Finn", "Gina", "Hugo", "Iris", "Jack", "Kate", "Liam", "Mona", "Nina", "Omar", "Paul", "Quinn", "Rosa", "Sam", "Tina", "Uma", "Vera", "Will", "Xena", "Yuri", "Zoe", "Adam", "Beth", "Cora", "Dean", "Elsa", "Fred", "Gwen", "Hank", "Ivan", "June", "Kurt", "Lena", "Mark", "Nora", "Olga", "Pete", "Ruth", "Sara", "Tom", "Ursa", "Vic", "Wade", "Yara", "Zack"]
)
SURNAMES = tuple(
    ["Adler", "Brown", "Clark", "Davis", "Evans", "Fisher", "Grant", "Hall", "Irwin", "Jones", "King", "Lopez", "Moore", "Nolan", "Owens", "Price", "Reed", "Scott", "Turner", "Young"]
)
CITIES = tuple(
    ["Paris", "London", "Rome", "Berlin", "Madrid", "Oslo", "Vienna", "Tokyo", "Dublin", "Prague", "Lisbon", "Athens", "Cairo", "Delhi", "Lima", "Quito", "Seoul", "Boston", "Denver", "Miami"]
)
ITEMS = tuple(
    ["lamp", "chair", "desk", "phone", "cable", "mouse", "printer", "camera", "tablet", "router", "speaker", "monitor", "jacket", "boots", "backpack", "bottle", "kettle", "toaster", "clock", "mirror"]
)
GOODS = tuple(["apples", "coins", "books", "stamps", "cards", "pens", "marbles", "shells", "tickets", "stickers", "cookies", "eggs"])
DAYS = tuple(["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"])
MONTHS = tuple(["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"])
DOCUMENTS = tuple(["report", "invoice", "contract", "summary", "budget", "agenda", "proposal", "schedule", "manual", "receipt"])
DOMAINS = tuple(["mail.com", "post.net", "corp.org", "shop.io"])
ADJECTIVES = tuple(["red", "blue", "green", "small", "large", "new", "old", "fast", "quiet", "heavy"])
LETTERS = tuple("abcdefghjkmnpqrstuvwxyz")
