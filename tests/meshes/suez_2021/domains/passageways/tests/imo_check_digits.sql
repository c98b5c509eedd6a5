-- IMO numbers: the sum of the first six digits times 7, 6, 5, 4, 3, 2 ends in the seventh.
select imo
from {{ ref('diversions') }}
where list_sum([substr(imo, i, 1)::integer * (8 - i) for i in range(1, 7)]) % 10 <> right(imo, 1)::integer
