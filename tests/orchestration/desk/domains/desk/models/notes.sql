select * from read_csv('sources/notes.csv', header = true, all_varchar = true)
