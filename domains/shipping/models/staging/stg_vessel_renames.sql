select
    trim(imo) as vessel_imo,
    trim(old_name) as old_name,
    trim(new_name) as new_name,
    strptime(trim(renamed_on), '%d.%m.%Y')::date as renamed_on
from read_csv('sources/vessel_renames.csv', delim = ';', header = true, all_varchar = true)
