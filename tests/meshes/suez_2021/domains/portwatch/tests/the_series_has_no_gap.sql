-- The median of the 28 days before presumes that no day is missing.
select portid
from {{ ref('daily_transits') }}
group by portid
having count(*) <> max(day) - min(day) + 1
