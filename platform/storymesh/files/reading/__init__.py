"""What is in one file: readers of mails, texts, pages, documents, pictures and speech, each in a bounded process."""
