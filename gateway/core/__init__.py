"""The frozen nouns of Thinkgate, and its errors. Nothing here knows any other part."""
