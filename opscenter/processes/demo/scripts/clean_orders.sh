# Leaves each order once.
set -euo pipefail
orders=$((3800 + ${bizdate} * 7919 % 1200))
twice=$((${bizdate} % 40 + 5))
{ seq "$orders"; seq "$twice"; } > orders.txt
echo "Removing duplicates from $(wc -l < orders.txt) lines"
sort -n orders.txt | uniq > clean.txt
sleep 0.5
echo "$twice duplicates removed, $(wc -l < clean.txt) orders left"
