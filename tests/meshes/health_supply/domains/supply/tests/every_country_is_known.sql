-- A country that the reviewed list lacks would lose its lane in silence.
select distinct country
from {{ ref('shipments') }}
where country not in (select country from read_csv('sources/countries.csv', header = true, all_varchar = true))
