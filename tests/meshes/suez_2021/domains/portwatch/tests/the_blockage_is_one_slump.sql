-- 23 to 29 March 2021 must come out of the rule by itself.
select 1
from (
    select count(*) as n
    from {{ ref('slumps') }}
    where portid = 'chokepoint1' and began_on = date '2021-03-23' and ended_on = date '2021-03-29' and days = 7
)
where n <> 1
