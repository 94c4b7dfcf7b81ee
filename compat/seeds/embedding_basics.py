# An embedding is a table look-up: (batch, sequence) indices in, (batch, sequence, width) out; the same as one-hot times matrix.
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(1)
embed = nn.Embedding(num_embeddings=3, embedding_dim=5)
print(embed, embed.weight)
print(embed(torch.tensor([0], dtype=torch.int64)))

torch.manual_seed(2)
table = nn.Embedding(10, 3)
index = torch.LongTensor([[1, 2, 4, 5], [4, 3, 2, 9]])
rows = table(index)
print(index.shape, table.weight.shape, rows.shape)
print(rows)
hot = F.one_hot(index, num_classes=10)
print(hot.shape, hot.dtype, hot[0])
print(torch.equal(hot.float() @ table.weight, rows), F.one_hot(torch.arange(3) % 2))
rows.sum().backward()
print(table.weight.grad)

given = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.1, 6.3]])
fixed = nn.Embedding.from_pretrained(given)
print(fixed, fixed.weight.requires_grad, fixed(torch.LongTensor([1])))
print(nn.Embedding.from_pretrained(given, freeze=False).weight.requires_grad)
